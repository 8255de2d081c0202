import { memoryCases } from "./_bodies/memory.ts";
import { benchSize, registerBenches } from "./_register.ts";

await registerBenches(memoryCases(benchSize()));
