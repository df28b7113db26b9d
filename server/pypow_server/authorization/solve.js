// SPDX-License-Identifier: Apache-2.0
// Finds a nonce of 15 hex digits so that SHA-256(challenge || nonce) is at most the target.
// The message is 119 octets, two blocks: the first is hashed once, the second for each nonce.
"use strict";

const CHALLENGE = 104;
const NONCE = 15;
const REPORT = 1 << 18;

// The first 64 bits of the fractional parts of roots of primes (FIPS 180-4, 4.2.2 and 5.3.3).
function fractions(count, power) {
  const found = [];
  for (let n = 2; found.length < count; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
    if (prime) {
      const root = Math.pow(n, power);
      found.push(((root - Math.floor(root)) * 2 ** 32) >>> 0);
    }
  }
  return found;
}

const K = new Uint32Array(fractions(64, 1 / 3));
const START = new Uint32Array(fractions(8, 1 / 2));
const w = new Uint32Array(64);

function compress(from, to) {
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15];
    const y = w[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  let [a, b, c, d, e, f, g, h] = from;
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  const said = [a, b, c, d, e, f, g, h];
  for (let i = 0; i < 8; i++) to[i] = from[i] + said[i];
}

function word(octets, at) {
  return ((octets[at] << 24) | (octets[at + 1] << 16) | (octets[at + 2] << 8) | octets[at + 3]) >>> 0;
}

function wins(digest, target) {
  for (let i = 0; i < 8; i++) {
    if (digest[i] !== target[i]) return digest[i] < target[i];
  }
  return true;
}

function solve(challenge, limit) {
  const target = Uint32Array.from({ length: 8 }, (_, i) => parseInt(limit.slice(8 * i, 8 * i + 8), 16));
  const octets = new Uint8Array(128);
  octets.set(new TextEncoder().encode(challenge));
  octets.fill(48, CHALLENGE, CHALLENGE + NONCE);
  octets[CHALLENGE + NONCE] = 128;
  new DataView(octets.buffer).setUint32(124, 8 * (CHALLENGE + NONCE));
  const first = new Uint32Array(8);
  const digest = new Uint32Array(8);
  for (let i = 0; i < 16; i++) w[i] = word(octets, 4 * i);
  compress(START, first);
  for (let tried = 1; ; tried++) {
    for (let i = 0; i < 16; i++) w[i] = word(octets, 64 + 4 * i);
    compress(first, digest);
    if (wins(digest, target)) {
      const nonce = new TextDecoder().decode(octets.subarray(CHALLENGE, CHALLENGE + NONCE));
      postMessage({ nonce, tried });
      return;
    }
    if (tried % REPORT === 0) postMessage({ tried });
    for (let at = CHALLENGE + NONCE - 1; ; at--) {
      if (octets[at] === 102) {
        octets[at] = 48;
        continue;
      }
      octets[at] = octets[at] === 57 ? 97 : octets[at] + 1;
      break;
    }
  }
}

onmessage = ({ data }) => solve(data.challenge, data.target);
