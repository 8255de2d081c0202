import { memoryCases } from "./_bodies/memory.ts";
import { registerBenches } from "./_register.ts";

registerBenches(memoryCases(1e6));
