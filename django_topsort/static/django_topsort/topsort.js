// django-topsort: reports what is seen and clicked. See docs/browser.md.
(() => {
const { tsUrl, tsClicks, tsPage, tsShare = 0.5, tsSeconds = 1 } = document.currentScript.dataset;
if (window.topsort?.flush) return;

const url = tsUrl + (navigator.webdriver ? "?automated=1" : "");
const NAMES = ["product", "resolved-bid", "action", "items"].map((name) => "data-ts-" + name);
const TAGGED = `[${NAMES.join("],[")}]`;
const CLICKABLE = "[data-ts-clickable]";
const EVENT = "topsort:event:";
const BANNER = "topsort:banner";

// Nothing throws into the page.
const guard = (work) => (...given) => {
  try {
    return work(...given);
  } catch {}
};
const parse = guard(JSON.parse);

// An object stands in for a storage that is forbidden or full.
let store = guard(() => localStorage)() || {};
const put = (key, value) => {
  value = JSON.stringify(value);
  try {
    store[key] = value;
  } catch {
    store = { [key]: value };
  }
};

// Events are kept until answered; their keys sort by worth and age.
const fresh = new Set(); // this page's keys, until they are tried
let timer, sending;
let backoff = 0; // ms

const forget = (key) => {
  fresh.delete(key);
  delete store[key];
};

const getKeys = () => {
  const keys = Object.keys(store).filter((key) => key.startsWith(EVENT)).sort();
  return keys.filter((key, i) =>
    (i >= keys.length - 250 && key.slice(15, 28) > Date.now() - 864e5) || forget(key));
};

const plan = (ms) => {
  timer ??= setTimeout(flush, ms);
};

const report = guard((kind, fields, el = document) => {
  const event = {
    id: crypto.randomUUID?.() || crypto.getRandomValues(new Uint32Array(4)).join("-"),
    occurredAt: new Date().toISOString(),
    ...fields,
  };
  // Clicks and purchases have a c.
  const key = EVENT + +/c/.test(kind) + Date.now() + event.id;
  put(key, [kind, event]);
  fresh.add(key);
  if (fresh.size % 50) plan(1000);
  else if (backoff) getKeys();
  else flush();
  el.dispatchEvent(new CustomEvent("topsort", { bubbles: true, detail: { kind, event } }));
});

const take = (keys) => {
  const body = {};
  const taken = [];
  let room = 6e4; // bytes: a page that is left may send 64 KiB
  for (const key of keys) {
    const [kind, event] = parse(store[key]) || [];
    const size = Math.max(1200, new Blob([store[key]]).size); // so that 50 fill it
    if (!event) forget(key);
    else if (size <= room) {
      room -= size;
      (body[kind] ||= []).push(event);
      taken.push(key);
      fresh.delete(key);
    }
  }
  return taken[0] && { taken, body: JSON.stringify(body) };
};

const sendAll = async () => {
  for (let batch; (batch = take(getKeys())); batch.taken.forEach(forget)) {
    const { ok, status } = await fetch(url, {
      method: "POST",
      body: batch.body,
      keepalive: true,
      signal: AbortSignal.timeout?.(1e4),
    });
    if (!ok && !/40[03]|41[35]/.test(status)) return;
  }
  return true;
};

const flush = async () => {
  clearTimeout(timer);
  timer = null;
  if (sending) return plan(1000);
  sending = true;
  let done;
  try {
    // One tab sends for all.
    done = await (store.setItem && navigator.locks
      ? navigator.locks.request("topsort", { ifAvailable: true }, (lock) => lock && sendAll())
      : sendAll());
  } catch {}
  sending = false;
  backoff = done ? 0 : Math.min(backoff * 2 || 2000, 6e4);
  if (backoff) plan(backoff);
};

// A beacon counts as sent. While nothing gets through, the next page sends.
const leave = () => {
  watched.forEach((_, el) => watched.set(el, 0));
  if (store.setItem && (backoff || !navigator.onLine)) return;
  for (let batch; (batch = take(fresh)); batch.taken.forEach(forget)) {
    if (!navigator.sendBeacon(url, batch.body)) return;
  }
};

const getBanner = () => {
  const banner = parse(store[BANNER]);
  return Date.now() - banner?.at < 18e5 ? banner : {};
};

const read = ({ dataset: d }) => {
  const { tsProduct: id, tsEntityType: type = "product" } = d;
  const { component, ...placement } = { path: location.pathname, ...parse(d.tsPlacement) };
  if (component) placement.path = placement.path.replace(/\/*$/, "/" + component);
  const event = { ...parse(d.tsFields), placement };
  const entity = { type, id };
  const inherits = d.tsResolvedBid === "inherit";
  const bid = inherits ? id && getBanner().bid : d.tsResolvedBid;
  if (!bid) event.entity = entity;
  else event.resolvedBidId = bid;
  if (bid && inherits) event.additionalAttribution = entity;
  return (id || bid) && event;
};

const reported = new WeakMap(); // element: what of it
const watched = new Map(); // element in the viewport: since when it is seen
let shows = 0;

const reportOnce = (kind, fields, el) => {
  const content = NAMES.map((name) => el.getAttribute(name)) + (kind[0] === "i" && shows);
  if (!fields || reported.get(el) === content) return;
  reported.set(el, content);
  report(kind, fields, el);
};

const unwatch = (el) => {
  watched.delete(el);
  observer.unobserve(el);
};

const reportSeen = (el) => {
  unwatch(el);
  reportOnce("impressions", read(el), el);
};

const isSeen = ({ target, boundingClientRect: box, intersectionRect: part }) => {
  // Of what fits into the viewport.
  const most = Math.min(box.width, innerWidth) * Math.min(box.height, innerHeight);
  const needed = Math.min(tsShare, box.width * box.height < 242500 ? 1 : 0.3);
  return (
    most && part.width * part.height >= most * needed &&
    !document.hidden &&
    document.hasFocus() &&
    target.checkVisibility?.({
      checkOpacity: true,
      checkVisibilityCSS: true,
      contentVisibilityAuto: true,
    }) !== false
  );
};

const check = guard((entry) => {
  const { target, time } = entry;
  const since = isSeen(entry) && (watched.get(target) || time);
  if (since && time - since >= tsSeconds * 1000) reportSeen(target);
  else if (entry.isIntersecting) {
    watched.set(target, since);
    setTimeout(look, 100, target);
  } else watched.delete(target);
});
const observer = new IntersectionObserver((entries) => entries.forEach(check));

// An observer hears of geometry alone; begun anew it tells all.
const look = (el) => {
  if (!watched.has(el)) return;
  observer.unobserve(el);
  observer.observe(el);
};

const consider = guard((el) => {
  const { tsAction, tsItems } = el.dataset;
  unwatch(el);
  if (tsAction === "purchase") {
    const items = parse(tsItems);
    return reportOnce("purchases", items && { items }, el);
  }
  observer.observe(el);
  if (tsAction === "landing") {
    const event = read(el);
    const banner = getBanner();
    if (!event.additionalAttribution || banner.landed) return;
    put(BANNER, { ...banner, landed: true });
    report("clicks", event, el);
  }
});

const scan = (root, work) => {
  if (root.matches?.(TAGGED)) work(root);
  root.querySelectorAll?.(TAGGED).forEach(work);
};

let lastClick = -400;

const handleClick = ({ target, button, isTrusted, timeStamp }) => {
  const el = target.closest(TAGGED);
  const link = target.closest("a[href]");
  // A middle click opens links; elsewhere it scrolls.
  if (!isTrusted || button > 1 || (button && !link)) return;
  reportSeen(el);
  const event = read(el);
  const { tsProduct, tsBanner } = el.dataset;
  const { resolvedBidId: bid, additionalAttribution } = event;
  if (bid && !additionalAttribution && (!tsProduct || tsBanner != null)) put(BANNER, { bid, at: Date.now() });
  const mark = target.closest(CLICKABLE);
  const clickType = el.contains(mark) && mark.dataset.tsClickable;
  if (
    link?.pathname?.startsWith(tsClicks) || // the server counts it
    (clickType === false && el.querySelector(CLICKABLE)) ||
    timeStamp - lastClick < 400 // a double click, or a label's
  ) return;
  lastClick = timeStamp;
  if (clickType) event.clickType = clickType;
  report("clicks", event, el);
};

const on = (target, name, work) => target.addEventListener(name, guard(work), true);

const show = () => {
  const page = parse(tsPage);
  if (page) report("pageviews", { page });
  shows++;
  scan(document, consider);
  plan(1000);
};

const start = guard(() => {
  on(document, "click", handleClick);
  on(document, "auxclick", handleClick);
  on(document, "visibilitychange", () => document.hidden && leave());
  on(window, "pagehide", leave);
  on(window, "pageshow", (event) => event.persisted && show());
  on(window, "online", flush);
  new MutationObserver((changes) => {
    for (const { type, target, addedNodes, removedNodes } of changes) {
      if (type === "attributes") consider(target);
      removedNodes.forEach((node) => node.isConnected || scan(node, unwatch));
      addedNodes.forEach((node) => scan(node, consider));
    }
  }).observe(document, { childList: true, subtree: true, attributeFilter: NAMES });
  show();
});

window.topsort = { report, flush };
if (document.prerendering) on(document, "prerenderingchange", start);
else start();
})();
