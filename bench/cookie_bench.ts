import { cookieCases } from "./_bodies/cookie.ts";
import { tokenCases } from "./_bodies/token.ts";
import { registerBenches } from "./_register.ts";

await registerBenches([...cookieCases(), ...tokenCases()]);
