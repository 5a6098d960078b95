// Tells the shop's server what was seen and clicked: docs/browser.md of django-topsort.
(() => {
  const script = document.currentScript || document.querySelector("script[data-ts-url]");
  if (!script || window.topsort?.flush) return;

  const { tsUrl, tsClicks, tsPage, tsShare = 0.5, tsSeconds = 1 } = script.dataset;
  const url = tsUrl + (navigator.webdriver ? "?automated=1" : "");
  const TAGGED = "[data-ts-product],[data-ts-resolved-bid],[data-ts-action=purchase]";
  const CLICKABLE = "[data-ts-clickable]";
  const EVENT = "topsort:event:";
  const BANNER = "topsort:banner";

  // Nothing here throws into the page.
  const guard = (work) => (...given) => {
    try {
      return work(...given);
    } catch {}
  };
  const parse = guard(JSON.parse);

  // A plain object takes the place of a storage that is forbidden or full.
  let store = guard(() => localStorage)() || {};
  let shared = store.setItem;
  const put = (key, value) => {
    value = JSON.stringify(value);
    try {
      store[key] = value;
    } catch {
      store = { [key]: value };
      shared = false;
    }
  };

  // ---- Events are kept until the server has answered, under keys that sort by worth and age.

  const untried = new Set(); // this page's keys
  let timer, sending;
  let backoff = 0; // ms

  const forget = (key) => {
    untried.delete(key);
    delete store[key];
  };

  const getKeys = () => {
    const oldest = new Date(Date.now() - 864e5).toISOString();
    const keys = Object.keys(store).filter((key) => key.startsWith(EVENT)).sort();
    return keys.filter((key, i) => {
      if (i >= keys.length - 250 && key.slice(EVENT.length + 1) > oldest) return true;
      forget(key);
    });
  };

  const plan = (ms) => {
    timer ??= setTimeout(flush, ms);
  };

  const report = guard((kind, fields, element = document) => {
    const event = {
      // No UUID on plain http; the server makes one of what is none.
      id: crypto.randomUUID?.() || crypto.getRandomValues(new Uint32Array(4)).join("-"),
      occurredAt: new Date().toISOString(),
      ...fields,
    };
    // Clicks and purchases, which have a c, go last where there are too many.
    const key = EVENT + +/c/.test(kind) + event.occurredAt + event.id;
    put(key, [kind, event]);
    untried.add(key);
    if (untried.size % 50) plan(1000);
    else if (backoff) getKeys();
    else flush();
    element.dispatchEvent(new CustomEvent("topsort", { bubbles: true, detail: { kind, event } }));
  });

  // The next body, and the keys of what is in it.
  const take = (keys) => {
    const body = {};
    const taken = [];
    let room = 6e4; // bytes; when a page is left, browsers send no more than 64 KiB
    for (const key of keys) {
      const [kind, event] = parse(store[key]) || [];
      const { size } = new Blob([store[key]]);
      if (!event || size > 6e4) forget(key);
      else if ((room -= size) < 0 || taken.length > 49) break;
      else {
        (body[kind] ||= []).push(event);
        taken.push(key);
        untried.delete(key);
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
        redirect: "error",
        signal: AbortSignal.timeout?.(1e4),
      });
      if (!ok && ![400, 403, 413, 415].includes(status)) return;
    }
    return true;
  };

  const flush = async () => {
    clearTimeout(timer);
    timer = null;
    if (sending) return plan(1000);
    sending = true;
    backoff = Math.min(backoff * 2 || 2000, 6e4);
    try {
      const { locks } = navigator;
      // One tab at a time sends what all have made.
      const done = await (shared && locks
        ? locks.request("topsort", { ifAvailable: true }, (lock) => (lock ? sendAll() : 0))
        : sendAll());
      if (done) backoff = 0
    } catch {}
    sending = false;
    if (backoff) plan(backoff);
  };

  // What a beacon takes counts as sent. When nothing gets through, the next page sends it.
  const leave = () => {
    watched.forEach((_, element) => watched.set(element, 0));
    if (shared && (backoff || !navigator.onLine)) return;
    for (let batch; (batch = take(untried)); batch.taken.forEach(forget)) {
      if (!navigator.sendBeacon?.(url, batch.body)) return;
    }
  };

  // ---- Elements

  const getBanner = () => {
    const banner = parse(store[BANNER]);
    return Date.now() - banner?.at < 18e5 ? banner : {};
  };

  const read = ({ dataset: d }) => {
    const { tsProduct: id, tsEntityType: type = "product" } = d;
    const inherits = d.tsResolvedBid === "inherit";
    const bid = inherits ? id && getBanner().bid : d.tsResolvedBid;
    if (!id && !bid) return;
    const { component, ...placement } = { path: location.pathname, ...parse(d.tsPlacement) };
    if (component) placement.path = placement.path.replace(/\/*$/, "/" + component);
    return {
      ...parse(d.tsFields),
      placement,
      ...(bid ? { resolvedBidId: bid } : { entity: { type, id } }),
      ...(bid && inherits && { additionalAttribution: { type, id } }),
    };
  };

  const reported = new WeakMap(); // element: content
  const watched = new Map(); // element in the viewport: since when it is seen, or 0
  let shows = 0;
  let clock;

  const getContent = ({ dataset: d }) =>
    d.tsAction === "purchase" ? d.tsItems : [shows, d.tsProduct, d.tsResolvedBid].join();

  const unwatch = (element) => {
    watched.delete(element);
    observer.unobserve(element);
  };

  const reportSeen = (element) => {
    unwatch(element);
    const event = read(element);
    const content = getContent(element);
    if (!event || reported.get(element) === content) return;
    reported.set(element, content);
    report("impressions", event, element);
  };

  // Of what fits into the viewport, half must be in it; of large elements less.
  const isSeen = ({ target, boundingClientRect: box, intersectionRect: part }) => {
    const needed = box.width * box.height < 242500 ? tsShare : Math.min(tsShare, 0.3);
    const most = Math.min(box.width, innerWidth) * Math.min(box.height, innerHeight);
    return (
      most && part.width * part.height >= most * needed &&
      document.visibilityState === "visible" &&
      document.hasFocus() &&
      target.checkVisibility?.({
        checkOpacity: true,
        checkVisibilityCSS: true,
        contentVisibilityAuto: true,
      }) !== false
    );
  };

  const observer = new IntersectionObserver(guard((entries) => {
    for (const entry of entries) {
      const { target, time } = entry;
      const since = isSeen(entry) && (watched.get(target) || time);
      if (entry.isIntersecting) watched.set(target, since || 0);
      else watched.delete(target);
      if (since && time - since >= tsSeconds * 1000) reportSeen(target);
    }
    clock ||= setInterval(look, 100);
  }));

  // Of what changes no geometry an observer says nothing, unless it begins anew.
  const look = () => {
    watched.forEach((_, element) => {
      observer.unobserve(element);
      observer.observe(element);
    });
    if (!watched.size) clock = clearInterval(clock);
  };

  const consider = (element) => {
    const { tsAction, tsItems } = element.dataset;
    const content = getContent(element);
    unwatch(element);
    if (reported.get(element) === content) return;
    if (tsAction === "purchase") {
      reported.set(element, content);
      const items = parse(tsItems);
      if (items) report("purchases", { items }, element);
      return;
    }
    observer.observe(element);
    const event = tsAction === "landing" && read(element);
    const banner = getBanner();
    if (event?.additionalAttribution && !banner.landed) {
      put(BANNER, { ...banner, landed: true });
      report("clicks", event, element);
    }
  };

  const scan = (root, work) => {
    if (root.matches?.(TAGGED)) work(root);
    root.querySelectorAll?.(TAGGED).forEach(work);
  };

  let lastClick = 0;

  const handleClick = ({ target, button, isTrusted, detail, timeStamp }) => {
    const element = target.closest(TAGGED);
    const link = target.closest("a[href]");
    // A middle click opens links; elsewhere it scrolls.
    if (!isTrusted || !element || button > 1 || (button && !link)) return;
    reportSeen(element);
    const { tsProduct, tsResolvedBid: bid, tsBanner } = element.dataset;
    if (bid && bid !== "inherit" && (!tsProduct || tsBanner != null)) put(BANNER, { bid, at: Date.now() });
    // A signed link is counted by the server.
    if (link?.pathname?.startsWith(tsClicks)) return;
    const mark = target.closest(CLICKABLE);
    const isMarked = element.contains(mark);
    if (!isMarked && element.querySelector(CLICKABLE)) return;
    // A double click is one; so is that on a label, of which the input hears again.
    if (detail > 1 || timeStamp - lastClick < 50) return;
    lastClick = timeStamp;
    const event = read(element);
    const clickType = isMarked && mark.dataset.tsClickable;
    if (event) report("clicks", { ...event, ...(clickType && { clickType }) }, element);
  };

  // ---- Start

  const on = (target, name, work) => target.addEventListener(name, guard(work), true);

  const show = () => {
    shows++;
    const page = parse(tsPage);
    if (page) report("pageviews", { page });
    scan(document, guard(consider));
    plan(1000);
  };

  const start = () => {
    on(document, "click", handleClick);
    on(document, "auxclick", handleClick);
    on(document, "visibilitychange", () => document.hidden && leave());
    on(window, "pagehide", leave);
    on(window, "pageshow", (event) => event.persisted && show());
    on(window, "online", flush);
    new MutationObserver((changes) => {
      for (const { type, target, addedNodes, removedNodes } of changes) {
        if (type === "attributes") guard(consider)(target);
        removedNodes.forEach((node) => node.isConnected || scan(node, guard(unwatch)));
        addedNodes.forEach((node) => scan(node, guard(consider)));
      }
    }).observe(document, {
      childList: true,
      subtree: true,
      attributeFilter: ["product", "resolved-bid", "action", "items"].map((name) => "data-ts-" + name),
    });
    show();
  };

  window.topsort = { report, flush };
  if (document.prerendering) on(document, "prerenderingchange", start);
  else guard(start)();
})();
