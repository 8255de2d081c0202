import { valueCases } from "./_bodies/value.ts";
import { registerBenches } from "./_register.ts";

await registerBenches(valueCases());
