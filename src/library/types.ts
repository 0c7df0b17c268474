import type { CallOptions } from './options.ts';
import type { FoundResource, ServedResource } from './resource.ts';

/** Search parameters by name; a list is the parameter repeated (FHIR: and), commas within a value mean or. */
export type SearchQuery =
  | URLSearchParams
  | Readonly<Record<string, string | number | boolean | readonly (string | number | boolean)[] | undefined>>;

/**
 * What a search finds, to be iterated: page by page as it is asked for, each type and id once. Iterated again, it is searched
 * again. **It ends without an error only when everything came.** Where the server withheld a part (Epic 59204, 59205) or refuses
 * for good, all that did come is handed out first, and then the cause is thrown.
 */
export interface SearchResults extends AsyncIterable<FoundResource> {
  /**
   * What the server remarked so far, each once: Epic's codes, such as `4119` (may be incomplete: it comes with nearly every
   * answer), else FHIR's issue types. Ours: `filter-refused` (a category that nobody asked for by name is unknown at this
   * site), `copies-differ` (one id came twice with different content; the first copy was handed out),
   * `include-not-asked-for` (left out).
   */
  readonly warnings: readonly string[];
}

/** A FHIR server as one backend client sees it. All methods may be called at once; `concurrency` holds over all of them. */
export interface Client {
  /**
   * An access token that is good now: the cached one, renewed at 80 % of its life. One request to the token endpoint at a
   * time, however many ask. Rejects with TOKEN_INVALID_CLIENT, TOKEN_REFUSED, TOKEN_MALFORMED, or what kept it from
   * being asked for.
   *
   * @example
   * import { createClient } from 'fhir-rounds';
   *
   * const client = await createClient({
   *   endpoint: 'https://ehr.example.org/api/FHIR/R4',
   *   clientId: 'my-client-id',
   *   privateKeyFile: 'private-key.pem',
   * });
   * const token = await client.getAccessToken();
   * const again = await client.getAccessToken();
   * console.log(token === again); //=> true
   * await client.close();
   */
  getAccessToken(options?: CallOptions): Promise<string>;

  /**
   * One resource by its logical id. The id that comes back may differ: that of the patient it was merged into (Epic 4107).
   * Rejects with HTTP_NOT_FOUND, HTTP_GONE, FHIR_DELETED, FHIR_ACCESS_DENIED ...; after `maxAttempts` with what passes by itself.
   *
   * @example
   * import { createClient } from 'fhir-rounds';
   *
   * const client = await createClient({
   *   endpoint: 'https://ehr.example.org/api/FHIR/R4',
   *   clientId: 'my-client-id',
   *   privateKeyFile: 'private-key.pem',
   * });
   * const patient = await client.read('Patient', 'erXuFYUfucBZaryVksYEcMg3', {
   *   signal: AbortSignal.timeout(30_000),
   * });
   * const { gender } = patient.json<{ gender?: string }>();
   * console.log(patient.type, patient.id, gender); //=> Patient erXuFYUfucBZaryVksYEcMg3 female
   * console.log(patient.bytes.toString() === patient.text); //=> true
   * await client.close();
   */
  read(resourceType: string, resourceId: string, options?: CallOptions): Promise<ServedResource>;

  /**
   * A search, all pages of it. It is sent as it is given (Epic's Observation needs a `category`: see `observations`), with
   * `_count` where that is not set. Where `patient` names one patient, a record of another one is an error, FHIR_FOREIGN_PATIENT.
   * A paging session that ran out is begun again, and what was handed out is not handed out twice.
   *
   * @example
   * import { createClient, RoundsError } from 'fhir-rounds';
   *
   * const client = await createClient({
   *   endpoint: 'https://ehr.example.org/api/FHIR/R4',
   *   clientId: 'my-client-id',
   *   privateKeyFile: 'private-key.pem',
   * });
   * const found = client.search('Condition', { patient: 'erXuFYUfucBZaryVksYEcMg3' });
   * let conditions = 0;
   * try {
   *   for await (const condition of found) {
   *     if (condition.type === 'Condition') conditions++;
   *   }
   *   console.log('complete'); //=> complete
   * } catch (error) {
   *   // What came was handed out; this is what did not.
   *   if (!(error instanceof RoundsError) || error.code !== 'FHIR_DATA_WITHHELD') throw error;
   *   console.log('incomplete', error.epicCode, error.hint);
   * }
   * console.log(conditions > 0, found.warnings); //=> true []
   * await client.close();
   */
  search(resourceType: string, query?: SearchQuery, options?: CallOptions): SearchResults;

  /**
   * A patient's Observations by category, one search for each, and each Observation once. Without categories: at Epic those
   * that work there (a search without one is refused, 59108), at other servers one search for all.
   *
   * @example
   * import { createClient } from 'fhir-rounds';
   *
   * const client = await createClient({
   *   endpoint: 'https://ehr.example.org/api/FHIR/R4',
   *   clientId: 'my-client-id',
   *   privateKeyFile: 'private-key.pem',
   * });
   * const patientId = 'erXuFYUfucBZaryVksYEcMg3';
   * const lines: string[] = [];
   * for await (const { text } of client.observations(patientId, ['laboratory', 'vital-signs'])) {
   *   lines.push(text);
   * }
   * const all = new Set<string>();
   * for await (const { id } of client.observations(patientId)) all.add(id);
   * console.log(lines.length > 0, all.size > lines.length); //=> true true
   * await client.close();
   */
  observations(
    patientId: string,
    categories?: string | readonly string[],
    options?: CallOptions,
  ): SearchResults;

  /** Ends what is under way (INTERRUPTED), forgets the token and closes the connections, which else keep a process alive. */
  close(): Promise<void>;
}
