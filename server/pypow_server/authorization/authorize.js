// SPDX-License-Identifier: Apache-2.0
// Lets a worker solve the page's challenge, and sends what it found.
"use strict";

const form = document.getElementById("work");
const button = document.getElementById("solve");
const state = document.getElementById("state");

function say(text) {
  state.textContent = text;
}

function solve() {
  const { value: challenge, dataset } = form.elements.challenge;
  if (Date.now() > 1000 * Number(dataset.expires) - 10000) {
    location.reload(); // a challenge that ends soon is not worth the work
    return;
  }
  button.disabled = true;
  say("Working\u2026");
  const worker = new Worker("/oauth/solve.js");
  worker.onerror = () => {
    button.disabled = false;
    say("This browser cannot work for it. It goes by hand, below.");
  };
  worker.onmessage = ({ data }) => {
    if (data.nonce === undefined) {
      say(`Working\u2026 ${data.tried.toLocaleString()} hashes so far`);
      return;
    }
    worker.terminate();
    say("Done. One moment\u2026");
    form.elements.nonce.value = data.nonce;
    form.submit();
  };
  worker.postMessage({ challenge, target: dataset.target });
}

if (form !== null && typeof Worker === "function") {
  document.getElementById("solving").hidden = false;
  document.getElementById("by-hand").open = false;
  button.addEventListener("click", solve);
}
