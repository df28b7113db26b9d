// SPDX-License-Identifier: Apache-2.0
// npm l402: an interceptor for axios.

import axios from "axios";
import l402 from "l402";
import { pay, run } from "./paying.mjs";

const wallet = { payInvoice: async (invoice) => ({ preimage: await pay(invoice), success: true }) };

await run(async (url) => {
    const client = axios.create({ responseType: "text" });
    l402.setupL402Interceptor(client, wallet, new l402.MemoryTokenStore());
    const { status, data } = await client.get(url);
    return [status, data];
});
