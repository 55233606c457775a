// A browser that tells on the page: every message, error, dialog and request is kept, and a page that is closed is judged by them.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const required = (name) => {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: run tests/browser/test`);
  return value;
};

const load = createRequire(`${required("HIGHWATER_BROWSER_MODULES")}/`);
const { chromium } = load("playwright-core");
const axe = load("axe-core").source;

const SCREENSHOTS = "target/browser";

// Address of each fixed page by its name.
export const pages = JSON.parse(required("HIGHWATER_PAGES"));

let browser;
const demos = [];

export async function start() {
  await mkdir(SCREENSHOTS, { recursive: true });
  // Root may not use Chromium's sandbox; the pages come from this tree.
  browser = await chromium.launch({ executablePath: required("HIGHWATER_CHROMIUM"), chromiumSandbox: false });
}

export async function end() {
  await browser?.close();
  await Promise.all(demos.map((demo) => demo.stop()));
}

// A running `highwater demo`.
export async function startDemo(port = 0) {
  const process = spawn(required("HIGHWATER_PROGRAM"), ["demo", `--web.listen-address=127.0.0.1:${port}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => process.once("exit", resolve));
  const demo = { stop: () => { process.kill("SIGTERM"); return ended; } };
  demos.push(demo);
  for await (const line of createInterface({ input: process.stdout })) {
    const url = /^Serving on (\S+)/.exec(line)?.[1];
    if (url) return Object.assign(demo, { url });
  }
  throw new Error("highwater demo does not say where it serves");
}

// A page in a context of its own. `close` fails where anything was wrong with it.
export async function open(url, { mayFail = false, ...settings } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...settings });
  const page = await context.newPage();
  // For a machine that is busy with other things; nothing is measured by it.
  page.setDefaultTimeout(180_000);
  const requests = [];
  const wrong = [];
  const origin = new URL(url).origin;
  page.on("request", (request) => {
    requests.push(request.url());
    if (new URL(request.url()).origin !== origin) wrong.push(`request to ${request.url()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) wrong.push(`${response.status()} for ${response.url()}`);
  });
  // What was under way when the page was closed is nobody's fault.
  let closing = false;
  page.on("requestfailed", (request) => { if (!mayFail && !closing) wrong.push(`no answer for ${request.url()}`); });
  page.on("pageerror", (error) => wrong.push(`exception: ${error}`));
  page.on("dialog", (dialog) => { wrong.push(`dialog: ${dialog.message()}`); return dialog.dismiss(); });
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !mayFail) wrong.push(`console: ${message.text()}`);
  });
  await page.goto(url);
  const close = async () => {
    closing = true;
    await context.close();
    assert.deepEqual(wrong, []);
  };
  return { page, requests, close };
}

export const screenshot = (page, name) => page.screenshot({ path: `${SCREENSHOTS}/${name}.png`, fullPage: true });

// Fails with what axe-core finds, by its rules for WCAG 2.2 A and AA and for good practice.
export async function audit(page, name) {
  // Not addScriptTag: the page's own policy forbids it, as it should.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  const found = violations.map(({ id, nodes }) => `${name}: ${id}: ${nodes.map((node) => node.html).slice(0, 3).join(" | ")}`);
  assert.deepEqual(found, []);
}
