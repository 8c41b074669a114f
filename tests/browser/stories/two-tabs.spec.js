import { expect, newMobile, storyOf, test } from "../fixtures.js";

const secondTab = async (context, server) => {
  const page = await context.newPage();
  await page.goto("/account");
  await storyOf(page, server).onAccount();
  return page;
};

/** The next call is told that its token has run out; the refresh after it is the server's own. */
const runOut = (page) =>
  page.route(
    "**/api/v1/users/me",
    (route) => route.fulfill({ status: 401, contentType: "application/problem+json", body: '{"code":"invalid_token"}' }),
    { times: 1 },
  );

const refreshes = (page) => page.waitForResponse((answer) => answer.url().endsWith("/auth/refresh") && answer.ok());

const saveName = async (page, name) => {
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("heading", { name: `Hello, ${name}` })).toBeVisible();
};

test("one tab sleeps while the other refreshes, and neither is signed out", async ({ page, story, context, server }) => {
  await story.signUp(newMobile());
  const asleep = await secondTab(context, server);
  const life = await context.newCDPSession(asleep);
  await life.send("Page.setWebLifecycleState", { state: "frozen" });

  for (const name of ["Asha", "Asha Rao"]) {
    await runOut(page);
    await Promise.all([refreshes(page), saveName(page, name)]);
  }

  // It wakes with a refresh token that was replaced twice.
  await life.send("Page.setWebLifecycleState", { state: "active" });
  await runOut(asleep);
  await saveName(asleep, "Asha of the second tab");
  await runOut(page);
  await saveName(page, "Asha of the first tab");
  await Promise.all([page.reload(), asleep.reload()]);
  await story.onAccount();
  await storyOf(asleep, server).onAccount();
});

test("both tabs refresh at once", async ({ page, story, context, server }) => {
  await story.signUp(newMobile());
  const second = await secondTab(context, server);
  await Promise.all([runOut(page), runOut(second)]);
  await Promise.all([saveName(page, "One"), saveName(second, "Two")]);
  await Promise.all([runOut(page), runOut(second)]);
  await Promise.all([saveName(page, "Three"), saveName(second, "Four")]);
  await Promise.all([page.reload(), second.reload()]);
  await story.onAccount();
  await storyOf(second, server).onAccount();
});

test("signed out in one tab is signed out in the other", async ({ page, story, context, server }) => {
  await story.signUp(newMobile());
  const second = await secondTab(context, server);
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await expect(page).toHaveURL(/#sign-in$/);
  await expect(second).toHaveURL(/#sign-in$/);
});
