// SPDX-License-Identifier: Apache-2.0
// npm @getalby/lightning-tools: fetchWithL402.

import { fetchWithL402 } from "@getalby/lightning-tools/402";
import { pay, run } from "./paying.mjs";

const wallet = { payInvoice: async ({ invoice }) => ({ preimage: await pay(invoice) }) };

await run(() => async (url) => {
    const answer = await fetchWithL402(url, {}, { wallet });
    return [answer.status, await answer.text()];
});
