// SPDX-License-Identifier: Apache-2.0
// WebCrypto, as solvers in a browser's worker use it: one await for each nonce.

import { serve } from './serve.mjs';

const encoder = new TextEncoder();

async function solve(prefix, target) {
  const wanted = Buffer.from(target, 'hex');
  for (let nonce = 0; ; nonce++) {
    const digest = await crypto.subtle.digest('SHA-256', encoder.encode(prefix + nonce));
    if (wanted.equals(new Uint8Array(digest))) return nonce + 1;
  }
}

await serve(solve, `OpenSSL ${process.versions.openssl}`);
