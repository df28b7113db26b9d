// SPDX-License-Identifier: Apache-2.0
// npm l402: an interceptor for axios.

import axios from "axios";
import l402 from "l402";
import { pay, run } from "./paying.mjs";

const wallet = { payInvoice: async (invoice) => ({ preimage: await pay(invoice), success: true }) };

await run(() => {
    const paying = axios.create({ responseType: "text" });
    l402.setupL402Interceptor(paying, wallet, new l402.MemoryTokenStore());
    return async (url) => {
        const { status, data } = await paying.get(url);
        return [status, data];
    };
});
