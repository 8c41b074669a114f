import { expect, test } from "../fixtures.js";

test.use({ settings: { ENROLL__CODES__RESEND_AFTER: "0" } }); // nobody clicks as fast as this test

// As pre-filled, after the calls above it: a code that was used is used, and all sessions are revoked at the end.
const REFUSED = {
  "DELETE /api/v1/users/me": [403], // pre-filled with the password that a later call sets
  "DELETE /api/v1/users/me/contacts/mobile": [409], // the only proven one, once the email is removed
  "POST /api/v1/auth/verify": [400],
  "POST /api/v1/users/activate": [401],
  "POST /api/v1/users/resend-code": [401],
  "POST /api/v1/auth/logout-all": [401],
  "POST /providers/twilio/status": [403],
};

test("the API page tells one story: each call runs as it stands, at another name of the host", async ({ page, baseURL }) => {
  test.setTimeout(240_000);
  await page.goto(baseURL.replace("127.0.0.1", "localhost") + "/docs");
  await expect(page).toHaveTitle("Enroll API");
  const calls = page.locator(".opblock");
  await expect(calls.first()).toBeVisible();
  const answers = [];
  for (let n = 0; n < (await calls.count()); n++) {
    const call = calls.nth(n);
    const method = await call.locator(".opblock-summary-method").innerText();
    const path = (await call.locator(".opblock-summary-path, .opblock-summary-path__deprecated").innerText()).replace(/\u200b/g, "");
    await call.locator(".opblock-summary-control").click();
    await call.getByRole("button", { name: "Execute" }).click();
    const status = await call.locator(".live-responses-table .response-col_status").last().innerText({ timeout: 10_000 });
    answers.push([`${method} ${path}`, Number.parseInt(status)]);
    await call.locator(".opblock-summary-control").click();
  }
  expect(answers.length).toBeGreaterThan(25);
  for (const [call, status] of answers) {
    const expected = REFUSED[call] ?? [200, 202, 204];
    expect(expected, `${call}: ${status}\n${answers.join("\n")}`).toContain(status);
  }
});

test("the API page keeps the token over a reload, and fits a phone", async ({ page }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  await page.goto("/docs/");
  await page.locator(".opblock").first().waitFor();
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  expect(content).toBeLessThanOrEqual(window);
  await page.getByRole("button", { name: "Authorize" }).first().click();
  await page.locator(".auth-container input").first().fill("a-token");
  await page.locator(".auth-btn-wrapper button.authorize").first().click();
  await page.reload();
  await page.getByRole("button", { name: "Authorize" }).first().click();
  await expect(page.getByRole("button", { name: "Logout" }).first()).toBeVisible();
});
