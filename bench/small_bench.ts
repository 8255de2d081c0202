import { smallCases } from "./_cases/small.ts";
import { register } from "./_harness/register.ts";

await register(await smallCases());
