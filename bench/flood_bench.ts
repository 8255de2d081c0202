import { floodCases } from "./_bodies/flood.ts";
import { registerBenches } from "./_register.ts";

registerBenches(floodCases());
