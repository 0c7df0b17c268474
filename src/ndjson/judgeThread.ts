import { parentPort } from 'node:worker_threads';
import { RoundsError } from '../errors.ts';
import { FileJudge } from './fileJudge.ts';
import type { Answer, Question } from './judgeMessages.ts';

/** The thread that `Judge` starts: answers its questions, one after the other. Any failure but a verdict ends it. */

const files = new Map<number, FileJudge | { readonly wrong: string }>();

parentPort!.on('message', (question: Question) => {
  const { ask, fileNo } = question;
  if (ask === 'begin') files.set(fileNo, new FileJudge(question.resourceType));
  else if (ask === 'drop') files.delete(fileNo);
  else parentPort!.postMessage(answerTo(question));
});

function answerTo(question: Extract<Question, { ask: 'block' | 'end' }>): Answer {
  const { ask, fileNo } = question;
  const judge = files.get(fileNo)!;
  // What was sent before its sender heard.
  if ('wrong' in judge) return judge;
  try {
    if (ask === 'block')
      return judge.judge(
        Buffer.from(question.block.buffer, question.block.byteOffset, question.block.length),
      );
    files.delete(fileNo);
    return judge.end();
  } catch (error) {
    if (!(error instanceof RoundsError) || error.code !== 'BULK_FILE_MALFORMED') throw error;
    const verdict = { wrong: error.message };
    files.set(fileNo, verdict);
    return verdict;
  }
}
