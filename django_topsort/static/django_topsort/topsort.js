// Explained in docs/browser.md
(() => {
const { tsUrl, tsClicks, tsPage, tsShare = 0.5, tsSeconds = 1 } = document.currentScript.dataset;
if (window.topsort?.flush) return;

const url = tsUrl + (navigator.webdriver ? "?automated=1" : "");
const NAMES = ["product", "resolved-bid", "action", "items"].map((name) => "data-ts-" + name);
const TAGGED = `[${NAMES.join("],[")}]`;
const MARK = "[data-ts-clickable]";
const EVENT = "topsort:event:";
const BANNER = "topsort:banner";
const guard = (work) => (...given) => {
  try {
    return work(...given);
  } catch {}
};
const parse = guard(JSON.parse);
const on = (name, work) => addEventListener(name, guard(work), true);
const memory = {};
const store = guard(() => localStorage)() || memory;
const get = (key) => memory[key] ?? store[key];
const put = (key, value) => {
  value = JSON.stringify(value);
  try {
    store[key] = value;
  } catch {
    memory[key] = value;
  }
};
const fresh = new Set();
let timer, busy;
let wait = 0;

const drop = (key) => {
  fresh.delete(key);
  delete memory[key];
  delete store[key];
};

const getKeys = () => {
  const keys = Object.keys({ ...store, ...memory }).filter((key) => key.startsWith(EVENT)).sort();
  return keys.filter((key, i) =>
    (i >= keys.length - 250 && key.slice(15, 28) > Date.now() - 864e5) || drop(key));
};

const plan = (ms) => (timer ??= setTimeout(flush, ms));

const report = guard((kind, fields, el = document) => {
  const event = {
    id: crypto.randomUUID?.() || "" + Math.random(),
    occurredAt: new Date().toISOString(),
    ...fields,
  };
  const key = EVENT + +/c/.test(kind) + Date.now() + event.id;
  put(key, [kind, event]);
  fresh.add(key);
  if (fresh.size % 50) plan(1000);
  else flush();
  el.dispatchEvent(new CustomEvent("topsort", { bubbles: true, detail: { kind, event } }));
});

const take = (keys) => {
  const taken = [];
  const body = { __proto__: null };
  let room = 6e4;
  for (const key of keys) {
    const { 0: kind, 1: event } = parse(get(key)) || {};
    const size = Math.max(1200, get(key).length * 3);
    if (!event) drop(key);
    else if (size <= room) {
      room -= size;
      (body[kind] ||= []).push(event);
      taken.push(key);
      fresh.delete(key);
    }
  }
  return taken[0] && { taken, body: JSON.stringify(body) };
};

const send = async () => {
  for (let batch; (batch = take(getKeys())); batch.taken.forEach(drop)) {
    const { ok, status } = await fetch(url, {
      method: "POST",
      body: batch.body,
      keepalive: true,
      signal: AbortSignal.timeout?.(1e4),
    });
    if (!ok && !/40[03]|41[35]/.test(status)) throw 0;
  }
};

const flush = async () => {
  clearTimeout(timer);
  timer = null;
  if (busy) return plan(1000);
  busy = true;
  try {
    await (store.setItem && navigator.locks
      ? navigator.locks.request("topsort", { ifAvailable: true }, (lock) => lock.name && send())
      : send());
    wait = 0;
  } catch {
    plan((wait = Math.min(wait * 2 || 2000, 6e4)));
  }
  busy = false;
};
const leave = () => {
  watched.forEach((_, el) => watched.set(el, 0));
  if (store.setItem && (wait || !navigator.onLine)) return;
  for (let batch; (batch = take(fresh)); batch.taken.forEach(drop)) {
    if (!navigator.sendBeacon(url, batch.body)) return;
  }
};

const getBanner = () => {
  const banner = parse(get(BANNER));
  return Date.now() - banner?.at < 18e5 ? banner : {};
};

const read = ({ dataset: d }) => {
  const { tsProduct: id, tsEntityType: type = "product" } = d;
  const { component, ...placement } = { path: location.pathname, ...parse(d.tsPlacement) };
  if (component) placement.path = placement.path.replace(/\/*$/, "/" + component);
  const event = { ...parse(d.tsFields), placement };
  const entity = { type, id };
  const inherits = d.tsResolvedBid === "inherit";
  const banner = d.tsAction === "landing" ? landing : getBanner();
  const bid = inherits ? id && banner.bid : d.tsResolvedBid;
  if (!bid) event.entity = entity;
  else event.resolvedBidId = bid;
  if (bid && inherits) event.additionalAttribution = entity;
  return (id || bid) && event;
};

const reported = new Set();
const watched = new Map();
let landing;

const unwatch = (el) => {
  watched.delete(el);
  observer.unobserve(el);
};

const seen = (el) => {
  unwatch(el);
  const event = read(el);
  const content = JSON.stringify(event);
  if (!event || reported.has(content)) return;
  if (reported.size > 9999) reported.clear();
  reported.add(content);
  report("impressions", event, el);
};

const check = guard((entry) => {
  const { target: el, time, boundingClientRect: box, intersectionRect: part } = entry;
  const most = Math.min(box.width, innerWidth) * Math.min(box.height, innerHeight);
  const least = Math.min(tsShare, box.width * box.height < 242500 ? 1 : 0.3);
  const since =
    most && part.width * part.height >= most * least && !document.hidden && document.hasFocus() &&
    el.checkVisibility?.({ checkOpacity: true, checkVisibilityCSS: true }) !== false &&
    (watched.get(el) || time);
  if (since && time - since >= tsSeconds * 1000) return seen(el);
  watched.delete(el);
  if (!entry.isIntersecting) return;
  watched.set(el, since);
  setTimeout(() => {
    if (!watched.has(el)) return;
    observer.unobserve(el);
    observer.observe(el);
  }, 100);
});

const observer = new IntersectionObserver((entries) => entries.forEach(check));

const meet = guard((el) => {
  const { tsAction, tsItems } = el.dataset;
  const items = tsAction === "purchase" && parse(tsItems);
  unwatch(el);
  if (items) return (el.tsAt ||= report("purchases", { items }, el) || 1);
  observer.observe(el);
  if (tsAction === "landing" && landing.isNew) {
    landing.isNew = 0;
    report("clicks", read(el), el);
  }
});

const scan = (root, work) => {
  if (root.matches?.(TAGGED)) work(root);
  root.querySelectorAll?.(TAGGED).forEach(work);
};

const click = ({ target, button, isTrusted, timeStamp }) => {
  const el = target.closest(TAGGED);
  const link = target.closest("a[href],button");
  if (!isTrusted || button > 1 || (button && !link?.href)) return;
  seen(el);
  const event = read(el);
  const { resolvedBidId: bid, additionalAttribution } = event;
  if (bid && !additionalAttribution && ("tsBanner" in el.dataset || !el.dataset.tsProduct)) {
    put(BANNER, { bid, at: Date.now(), isNew: 1 });
  }
  if (link ? link.pathname?.startsWith(tsClicks) : "" + getSelection()) return;
  const mark = target.closest(MARK);
  const isMarked = el.contains(mark);
  if ((!isMarked && el.querySelector(MARK)) || timeStamp - el.tsAt < 400) return;
  el.tsAt = timeStamp;
  if (isMarked && mark.dataset.tsClickable) event.clickType = mark.dataset.tsClickable;
  report("clicks", event, el);
};

const show = () => {
  const page = parse(tsPage);
  if (page) report("pageviews", { page });
  reported.clear();
  landing = getBanner();
  if (landing.isNew) put(BANNER, { ...landing, isNew: 0 });
  else landing = {};
  scan(document, meet);
  plan(1000);
};

const start = guard(() => {
  on("click", click);
  on("auxclick", click);
  on("visibilitychange", leave);
  on("pagehide", leave);
  on("pageshow", (event) => event.persisted && show());
  on("online", flush);
  new MutationObserver((changes) => {
    for (const { type, target, addedNodes, removedNodes } of changes) {
      if (type === "attributes") meet(target);
      removedNodes.forEach((node) => node.isConnected || scan(node, unwatch));
      addedNodes.forEach((node) => scan(node, meet));
    }
  }).observe(document, { childList: true, subtree: true, attributeFilter: NAMES });
  show();
});

window.topsort = { report, flush };
if (document.prerendering) on("prerenderingchange", start);
else start();
})();
