import { RESOURCE_TYPES } from './resourceTypes.ts';

/**
 * The words that a server's free text may be shown in. Plain English, as such messages are made of; what is also a
 * person's name or says what a person has is left out ("grant", "mark", "page"; "pregnant").
 */

const PLAIN_WORDS = `
  a about above accept accepted access according account action active additional after again all allow allowed allows
  already also an and another any api application approximately are array as ask asked assertion async asynchronous at
  attempt attempts authentication authorization authorized available away back bad base be because been before began
  begin begun being below between body both bulk busy but by call called calls cancel canceled cancelled cancelling
  cannot category change changed changes check checked client code codes collecting combination comma complete completed
  completely completing completion concurrent condition configuration configured conflict connection contact contain
  contains content could count create created creating creation current currently database date dates default delayed
  delete deleted deleting denied depends deprecated detail details did different disabled does done down download
  duplicate during each element elements empty enabled encountered end ended endpoint enough entries entry error errors
  estimate estimated every exceed exceeded exceeds except exception exist existing exists expected expire expired expires
  export exported exporting exports expression extract extracted extracting fail failed failing fails failure fatal file
  files filter filtered filters final finalizing find finish finished finishing first follow following for forbidden
  format formats found from full gateway gathering generate generated generating generation get given gone greater group
  groups had handling has have header headers however http id identifier identifiers if ignored in include included
  includes including incomplete incorrect initialized initializing input inside instance instead insufficient integer
  interface internal interval into invalid is issue issues it item items its job jobs json kickoff known large larger
  last later least less level limit limited limits list loading location lock locked login longer lost maintenance make
  malformed manifest manifests many match matching maximum member members merging message method minimum missing more
  most multiple must name named names ndjson near nearly need needed needs never new next no none nor not nothing now
  null number object occurred of off on once one only open operation operations operator optional or order organize organized
  other out outcome outcomes output over overloaded own parameter parameters parse part partial path patient patients
  payload pending percent perform performed period permission permissions permitted please poll polling possible
  prefer preparing present prevented previous problem process processed processing profile progress prohibited
  provide provided providing queue queued queuing quota range rate reached read reading ready reason received recent recently
  record records reduce refer reference referenced refused rejected release remaining remove removed repeated request
  requested requester requesting requests require required requires resource resources respond response restart
  restarted restricted result results resume retried retries retry retrying return returned returns running same saving
  schedule scheduled scope scopes search security select selected send sent server servers service session set
  several shall should shutdown since single size slow some something soon specified specify start started starting
  starts state status stop stopped stopping storage store stored string submit submitted success successful
  successfully such supplied support supported supports suspended syntax system systems take taken temporarily
  temporary terminated than that the their them then there these they this those throttled through throttling time
  timed timeout times timestamp to token too total transaction transient tried try trying twice type types unable
  unauthorized unavailable under unexpected unknown unless unsuccessful unsupported until up update updated updating
  upon url use used user uses using valid validate validated validating validation value values version very via wait
  waiting was were what when where which while who whole why with within without work working write writing written
  wrong xml zero fhir oauth smart binary bundle encounter encounters observation observations practitioner
  practitioners retrieval retrieve retrieved retrieving second seconds minute minutes hour hours`;

/** Words that are names when they are written with a capital. */
const SMALL_WORDS = `can day days do may prior see so still will would yet you your`;

const EXPORT_PARAMETERS = `_outputFormat _since _until _type _elements _typeFilter includeAssociatedData organizeOutputBy
  allowPartialManifests $export`;

const wordsOf = (text: string): readonly string[] => text.trim().split(/\s+/);

/** English words in lower case; they may also be written with a capital, or in capitals. */
export const PLAIN: ReadonlySet<string> = new Set(wordsOf(PLAIN_WORDS));
/** Words that have to be in lower case. */
export const SMALL: ReadonlySet<string> = new Set(wordsOf(SMALL_WORDS));
/** Resource types and the names of `$export` and its parameters, which have to be written just so. */
export const NAMES: ReadonlySet<string> = new Set([...wordsOf(EXPORT_PARAMETERS), ...RESOURCE_TYPES]);
/** What may stand behind a number that counts. */
export const COUNTED: ReadonlySet<string> = new Set(
  ['resource', 'patient', 'file', 'second', 'minute', 'hour'].flatMap((unit) => [unit, `${unit}s`]),
);
