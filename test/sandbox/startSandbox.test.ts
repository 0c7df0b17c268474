import { createConnection } from 'node:net';
import { describe, expect, it } from 'vitest';
import { startSandbox } from '../../src/sandbox/startSandbox.ts';
import { getFhir, rsaKey, tokenFor } from './support/client.ts';

describe('startSandbox', () => {
  it('listens on loopback only', async () => {
    await expect(startSandbox({ host: '0.0.0.0', smtp: false })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });

  it("lays its paths out as Epic does and remembers what it was asked, without anybody's token", async () => {
    const sandbox = await startSandbox({ smtp: false });
    try {
      expect(sandbox.fhirBase).toBe(`${sandbox.origin}/interconnect-fhir-oauth/api/FHIR/R4`);
      expect(sandbox.tokenEndpoint).toBe(`${sandbox.origin}/interconnect-fhir-oauth/oauth2/token`);
      const token = await tokenFor(sandbox, rsaKey());
      const id = sandbox.patientIdAt(0) ?? '';
      await getFhir(sandbox, token, `Condition?patient=${id}`, { 'Epic-Client-ID': 'client-1' });
      await getFhir(sandbox, 'wrong', `Patient/${id}`);
      await expect.poll(() => sandbox.requests.length).toBe(3);
      const [tokenRequest, search, read] = sandbox.requests;
      expect(tokenRequest).toMatchObject({
        method: 'POST',
        endpoint: 'token',
        status: 200,
        authorized: false,
      });
      expect(search).toMatchObject({
        method: 'GET',
        endpoint: 'search',
        type: 'Condition',
        query: `patient=${id}`,
        status: 200,
        authorized: true,
        clientId: 'client-1',
      });
      expect(search?.headers['epic-client-id']).toBe('client-1');
      expect(read).toMatchObject({ endpoint: 'read', status: 401, authorized: false });
      const served = await (await fetch(`${sandbox.origin}/__requests`)).text();
      expect(served).not.toContain(token);
      expect(served).not.toContain('client_assertion');
      expect(sandbox.counts()).toMatchObject({
        byEndpoint: { token: 1, search: 1, read: 1 },
        maxInFlight: 1,
      });
    } finally {
      await sandbox.close();
    }
  });

  it('ends open connections when it closes, may be closed twice, and frees its port', async () => {
    const sandbox = await startSandbox({ smtp: false, faults: [{ match: {}, then: { hang: true } }] });
    const hanging = fetch(`${sandbox.fhirBase}/metadata`);
    const port = Number(new URL(sandbox.origin).port);
    await expect.poll(() => sandbox.counts().inFlight).toBe(1);
    await Promise.all([sandbox.close(), expect(hanging).rejects.toThrow()]);
    await sandbox.close();
    const again = await startSandbox({ port, smtp: false });
    expect(again.origin).toBe(sandbox.origin);
    await again.close();
  });

  it('starts a mail server and hands it the faults that are its own', async () => {
    const sandbox = await startSandbox({
      faults: [{ match: { endpoint: 'smtp' }, then: { smtp: { stage: 'connect', code: 421 } } }],
    });
    try {
      const greeting = () =>
        new Promise<string>((resolve, reject) => {
          const socket = createConnection({ host: sandbox.smtp?.host ?? '', port: sandbox.smtp?.port ?? 0 });
          socket.once('data', (data) => {
            socket.destroy();
            resolve(data.toString());
          });
          socket.once('error', reject);
        });
      expect(await greeting()).toMatch(/^421/);
      expect((await fetch(`${sandbox.fhirBase}/metadata`)).status).toBe(200);
      sandbox.setFaults([]);
      expect(await greeting()).toMatch(/^220/);
      expect(await (await fetch(`${sandbox.origin}/__mails`)).json()).toEqual([]);
      expect(sandbox.smtp?.certificatePem).toContain('BEGIN CERTIFICATE');
    } finally {
      await sandbox.close();
    }
  });
});
