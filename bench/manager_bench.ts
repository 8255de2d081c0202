import { managerCases } from "./_bodies/manager.ts";
import { registerBenches } from "./_register.ts";

registerBenches(await managerCases(1e5));
