import { describe, expect, it, onTestFinished } from 'vitest';
import { FileJudge, type LastVerdict, type Verdict } from '../../src/ndjson/fileJudge.ts';
import { Judge } from '../../src/ndjson/judge.ts';
import { rejection } from '../support/rejection.ts';

const patient = (id: string): string => `{"resourceType":"Patient","id":"${id}"}\n`;

function start(thread?: string): Judge {
  const judge = Judge.start(thread === undefined ? undefined : new URL(`data:text/javascript,${thread}`));
  onTestFinished(() => judge.close());
  return judge;
}

const blockOf = (judge: Judge, text: string): Buffer => {
  const block = judge.takeBlock();
  return block.subarray(0, block.write(text));
};

/** What comes from another thread has other kinds of arrays. */
const plain = ({ keys, ...verdict }: Verdict | LastVerdict) => ({
  ...verdict,
  keys: [...keys],
  ...('rest' in verdict ? { rest: [...verdict.rest] } : {}),
});

describe('the thread that judges', () => {
  it('says of every block of every file what FileJudge says, in order', async () => {
    const judge = start();
    const files = Array.from({ length: 5 }, () => ({
      there: judge.begin('Patient'),
      here: new FileJudge('Patient'),
    }));
    const asked: Promise<Verdict | LastVerdict>[] = [];
    const expected: (Verdict | LastVerdict)[] = [];
    for (let blockNo = 0; blockNo < 20; blockNo++) {
      for (const [fileNo, { there, here }] of files.entries()) {
        // Lines that go over from one block into the next, and some that are not stored as they came.
        const text = `${patient(`${fileNo}-${blockNo}`)}${fileNo === 2 ? '\r\n' : ''}{"resourceType":"Patient"}\n`;
        const [before, behind] = [text.slice(0, -9), text.slice(-9)];
        for (const part of [before, behind]) {
          asked.push(there.judge(blockOf(judge, part)));
          expected.push(here.judge(Buffer.from(part)));
        }
      }
    }
    for (const { there, here } of files) {
      asked.push(there.end());
      expected.push(here.end());
    }
    expect((await Promise.all(asked)).map(plain)).toEqual(expected.map(plain));
  });

  it('refuses a file from its first wrong line on, and no other', async () => {
    const judge = start();
    const [bad, good] = [judge.begin('Patient'), judge.begin('Patient')];
    const asked = [patient('a'), '{"resourceType":"Basic"}\n', patient('b')].map((text) =>
      Promise.allSettled([bad.judge(blockOf(judge, text)), good.judge(blockOf(judge, patient('c')))]),
    );
    const verdicts = await Promise.all(asked);
    expect(verdicts.map(([one]) => one.status)).toEqual(['fulfilled', 'rejected', 'rejected']);
    expect(verdicts.map(([, other]) => other.status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled']);
    const error = await rejection(bad.end());
    expect(error).toMatchObject({
      code: 'BULK_FILE_MALFORMED',
      message: 'line 2 of the file is a Basic, not what was asked for',
    });
    expect((await good.end()).lines).toBe(3);
  });

  it.each([
    ['cannot start', 'import "node:no-such-module"'],
    ['fails', 'import{parentPort as p}from"node:worker_threads";p.on("message",()=>{throw new Error("x")})'],
    ['ends', 'import{parentPort as p}from"node:worker_threads";p.on("message",()=>process.exit(0))'],
  ])('and %s makes all that is asked fail, then and later', async (_, thread) => {
    const judge = start(thread);
    const file = judge.begin('Patient');
    const asked = [file.judge(blockOf(judge, patient('a'))), file.end()];
    for (const one of asked) expect((await rejection(one)).code).toBe('INTERNAL');
    expect((await rejection(judge.begin('Patient').end())).code).toBe('INTERNAL');
  });

  it('leaves nothing unanswered when it is closed', async () => {
    const judge = start('import{parentPort}from"node:worker_threads";parentPort.on("message",()=>0)');
    const asked = judge.begin('Patient').end();
    const heard = rejection(asked);
    await judge.close();
    expect((await heard).code).toBe('INTERNAL');
    await judge.close();
  });
});

describe('what of a block is kept', () => {
  const lines = Array.from({ length: 4000 }, (_, lineNo) => patient(String(lineNo)));

  it('is all of it in the ordinary case, however large it is', () => {
    const block = Buffer.from(lines.join(''));
    expect(block.length).toBeGreaterThan(2 * 64 * 1024);
    expect(new FileJudge('Patient').judge(block).kept).toBeUndefined();
  });

  it('is told by the fewest edges, also where it goes over from piece to piece', () => {
    const block = Buffer.from(lines.map((line, lineNo) => (lineNo === 2000 ? `\r\n${line}` : line)).join(''));
    const gone = lines.slice(0, 2000).join('').length;
    expect(new FileJudge('Patient').judge(block).kept).toEqual([0, gone, gone + 2, block.length]);
  });
});
