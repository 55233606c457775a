// What does a person get from the status page, in a real browser? Run by tests/browser/test.
//
// Nothing waits for a fixed time: what must come is waited for, and "within two periods" counts the page's own requests.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { audit, end, open, pages, screenshot, start, startDemo } from "./browser.mjs";

const SIZES = { narrow: { width: 360, height: 740 }, wide: { width: 1920, height: 1080 } };

let demo;
before(async () => {
  await start();
  demo = await startDemo();
});
after(end);

const SENTENCE = /(deletes? .*image|is full|evicts? pods|look for images)/;

test("the first look has sentence, bar, chart and the time of the sample", async () => {
  const { page, close } = await open(demo.url);
  assert.match(await page.textContent("#disk-0 .outlook li"), SENTENCE);
  assert.ok(await page.isVisible("svg.bar"));
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
  assert.ok(await page.isVisible("svg.chart .used"));
  assert.ok(await page.isVisible("svg.chart .band"));
  assert.match(await page.getAttribute("time", "datetime"), /^\d{4}-\d\d-\d\dT/);
  await close();
});

test("it is current within two requests, without a reload", async () => {
  const { page, requests, close } = await open(demo.url);
  const first = await page.getAttribute("time", "datetime");
  const changing = () => [".figures", "svg.chart .used"].map((of) => document.querySelector(of).outerHTML);
  const shown = await page.evaluate(changing);
  await page.evaluate(() => { window.sameDocument = true; });
  const before = requests.length;
  await page.waitForFunction((first) => document.querySelector("time").dateTime !== first, first);
  assert.ok(requests.length - before <= 2, `${requests.length - before} requests`);
  const now = await page.evaluate(changing);
  assert.ok(now.every((part, number) => part !== shown[number]));
  assert.ok(await page.evaluate(() => window.sameDocument));
  await close();
});

test("the keyboard keeps its place while the page goes on", async () => {
  const { page, close } = await open(demo.url);
  const summary = page.locator("details summary").first();
  await summary.focus();
  await page.keyboard.press("Enter");
  await page.evaluate(() => { window.focused = document.activeElement; });
  const first = await page.getAttribute("time", "datetime");
  await page.waitForFunction((first) => document.querySelector("time").dateTime !== first, first);
  assert.ok(await page.evaluate(() => document.activeElement === window.focused && window.focused.parentNode.open));
  await close();
});

test("it says when the agent is gone, and that it is back", async () => {
  const mine = await startDemo();
  const { page, close } = await open(mine.url, { mayFail: true });
  await mine.stop();
  await page.waitForSelector("#lost:not([hidden])");
  await startDemo(new URL(mine.url).port);
  await page.waitForFunction(() => !document.querySelector("#lost:not([hidden])"));
  await close();
});

test("without JavaScript it says the same and reloads itself", async () => {
  const { page, close } = await open(demo.url, { javaScriptEnabled: false });
  assert.match(await page.textContent("#disk-0 .outlook li"), SENTENCE);
  assert.ok(await page.isVisible("svg.bar"));
  await page.waitForEvent("framenavigated");
  await close();
});

for (const [name, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ["light", "dark"]) {
    test(`${name}, ${colorScheme}: nothing is cut off, axe finds nothing`, async () => {
      for (const [which, url] of [["demo", demo.url], ["node", pages.node], ["crowd", pages.crowd]]) {
        const { page, close } = await open(url, { viewport, colorScheme });
        await page.evaluate(() => document.querySelectorAll("#remedies").forEach((details) => { details.open = true; }));
        await screenshot(page, `${which}-${name}-${colorScheme}`);
        const overhang = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overhang <= 0, `${which} is ${overhang} px too wide`);
        await audit(page, which);
        await close();
      }
    });
  }
}

for (const name of Object.keys(pages)) {
  test(`${name}: no script runs, nothing is too wide, axe finds nothing`, async () => {
    const { page, close } = await open(pages[name], { viewport: SIZES.narrow });
    assert.equal(await page.locator("script").count(), 1);
    assert.equal(await page.locator("img, iframe, object, form, main style, main script").count(), 0);
    const handlers = "*[onmouseover], *[onerror], *[onclick], *[style]";
    assert.equal(await page.locator(handlers).count(), 0);
    assert.ok(await page.isVisible("h1"));
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
    const overhang = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overhang <= 0, `${overhang} px too wide`);
    await screenshot(page, name);
    await audit(page, name);
    await close();
  });
}
