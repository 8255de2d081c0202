import { memoryCases } from "./_cases/memory.ts";
import { benchSize, register } from "./_harness/register.ts";

await register(memoryCases(benchSize()));
