import { expect, newMobile, test } from "../fixtures.js";

test.use({ settings: { ENROLL__LIMITS__ENABLED: "true", ENROLL__CODES__RESEND_AFTER: "3" } });

test("too many wrong codes: the wait is counted, and a new code goes on", async ({ page, story }) => {
  await story.askToSignUp(newMobile());
  for (const [code, left] of [["135791", "4 tries"], ["246802", "3 tries"], ["975310", "2 tries"], ["864209", "One try"]]) {
    await story.code.fill(code);
    await expect(story.code).toHaveAccessibleDescription(`That isn't the code. ${left} left.`);
  }
  await story.code.fill("111111");
  await expect(story.code).toHaveAccessibleDescription("No try is left for this code. Send a new one.");
  await expect(page.getByText("Used up")).toBeVisible();
  await expect(story.code, "nothing that is typed helps this code").not.toBeEditable();
  await page.getByRole("button", { name: "Send a new code" }).click();
  await expect(page.getByText("A new code is on its way.")).toBeVisible();
  await expect(page.getByRole("button", { name: "Confirm" })).toHaveAttribute("aria-disabled", "false");
  await story.useInbox();
  await story.onAccount();
});

test("too many sign-ups at once: the button counts the wait down", async ({ page, story }) => {
  const refused = page.getByText("That was a lot at once. Wait a little.");
  const sent = page.getByRole("heading", { name: "Enter the code" });
  await expect(async () => {
    await page.goto("/#sign-up");
    await story.identifier.fill(newMobile());
    await story.password.fill("correct horse battery");
    await page.getByRole("button", { name: "Send me the code" }).click();
    await expect(refused.or(sent)).toBeVisible();
    await expect(refused).toBeVisible({ timeout: 1 });
  }).toPass();
  await expect(page.getByRole("button", { name: /Again in 0:\d\d/ })).toHaveAttribute("aria-disabled", "true");
});
