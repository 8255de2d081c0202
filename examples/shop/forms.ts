/** Forms that only pages of the same session can send, and where they lead. */
import { Html, html } from "./html.ts";

/** Where a form's token goes. No text can hold it, because `<` is escaped. */
const TOKEN_MARK = new Html("<form-token>");

/** A form that only this session's pages can send. */
export function form(
  action: string,
  fields: Html,
  kind: "row" | "fields" = "row",
): Html {
  return html`<form class="${kind}" method="post" action="${action}">
    <input type="hidden" name="form-token" value="${TOKEN_MARK}">${fields}
  </form>`;
}

/** The text of a page whose forms carry the session's token. */
export function withToken(
  page: Html,
  session: { formToken(): string },
): string {
  // Stores the session of a new visitor, who needs its cookie to send a form.
  return page.text.replaceAll(TOKEN_MARK.text, session.formToken());
}

/** Sends the browser on, so that reloading does not send a form again. */
export function redirect(location: string): Response {
  return new Response(null, { status: 303, headers: { location } });
}

/** Euros as the shop writes them. */
export function money(euros: number): string {
  return `€ ${euros}`;
}
