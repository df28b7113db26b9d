// SPDX-License-Identifier: Apache-2.0
// npm's macaroon: read the text, hash the preimage, verify. The puzzle's prefix is the credential
// as a header carries it, its target the root key.

import { createHash } from 'node:crypto';
import macaroon from 'macaroon';
import { serve, versionOf } from './serve.mjs';

function check(caveat) {
  const at = caveat.indexOf('=');
  const name = caveat.slice(0, at);
  const value = caveat.slice(at + 1);
  const holds =
    (name === 'services' && value.split(',').some((one) => one.split(':')[0] === 'pypow')) ||
    (name === 'pypow_valid_until' && Number(value) > 1800000000) ||
    (name === 'pypow_uses' && Number(value) >= 1) ||
    (name === 'pypow_tool' && value === 'search');
  return holds ? null : 'no';
}

function solve(prefix, target, hashes) {
  const [text, preimage] = prefix.split(':');
  const rootKey = new Uint8Array(Buffer.from(target, 'hex'));
  let stood = 0;
  for (let i = 0; i < hashes; i++) {
    const read = macaroon.importMacaroon(text);
    const paid = createHash('sha256').update(Buffer.from(preimage, 'hex')).digest();
    read.verify(rootKey, check, []); // throws where it does not hold
    stood += paid.equals(read.identifier.subarray(2, 34)) ? 1 : 0;
  }
  return stood;
}

await serve(solve, versionOf('macaroon'));
