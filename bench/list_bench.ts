import { listCases } from "./_bodies/list.ts";
import { benchSize, registerBenches } from "./_register.ts";

await registerBenches(listCases(benchSize()));
