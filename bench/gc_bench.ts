import { gcCases } from "./_bodies/collect.ts";
import { registerBenches } from "./_register.ts";

for (const size of [1e3, 1e5, 1e6]) {
  registerBenches(gcCases(size, 1));
  registerBenches(gcCases(size, 10));
}
