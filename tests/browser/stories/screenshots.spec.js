import { expect, newEmail, test } from "../fixtures.js";

const FOLDER = new URL("../../../docs/screenshots/", import.meta.url).pathname;

test.skip(!process.env.SCREENSHOTS, "SCREENSHOTS=1 takes them anew");

test("the pictures of docs/screenshots", async ({ page, story }) => {
  const take = (name, options) => page.screenshot({ path: `${FOLDER}${name}.png`, animations: "disabled", ...options });
  const showCode = async (identifier) => {
    await story.askToSignUp(identifier);
    await expect(page.getByRole("button", { name: "Use this code" })).toBeVisible();
    await expect(page.getByRole("status").filter({ hasText: "Handed to" })).toBeVisible();
  };

  await page.setViewportSize({ width: 1100, height: 720 });
  await page.goto("/");
  await take("sign-up");
  await showCode("98765 43210");
  await story.code.pressSequentially("24");
  await take("code");
  await page.emulateMedia({ colorScheme: "dark" });
  await take("dark");
  await page.emulateMedia({ colorScheme: "light" });
  await story.useInbox();
  await story.onAccount();

  await page.getByLabel("Name", { exact: true }).fill("Asha Rao");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Saved.")).toBeVisible();
  await page.mouse.move(0, 0);
  await take("account", { fullPage: true });

  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.setViewportSize({ width: 320, height: 980 });
  await showCode(newEmail());
  await page.evaluate(() => scrollTo(0, 0));
  await take("phone-320");
});
