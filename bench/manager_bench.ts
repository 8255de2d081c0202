import { managerCases } from "./_bodies/manager.ts";
import { benchSize, registerBenches } from "./_register.ts";

await registerBenches(managerCases(benchSize()));
