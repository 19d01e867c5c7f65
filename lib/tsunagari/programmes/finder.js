'use strict';
// Filters the list that already stands in the page. Without this script the whole list is shown.
(() => {
  const PAGE = 20;
  const find = (selector) => document.querySelector(selector);
  const form = find('form'), list = find('#list'), more = find('#more'), loosen = find('#loosen');
  const status = find('[role=status]'), jump = find('.jump'), results = find('#results');
  const words = JSON.parse(form.dataset.words);
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  // As resources.fold: width, case, kana, spaces, hyphens and long vowels make no difference.
  const fold = (text) => text.normalize('NFKC').toLowerCase()
    .replace(/[ァ-ヶ]/g, (kana) => String.fromCharCode(kana.charCodeAt(0) - 0x60))
    .replace(/[\s・ー‐−–-]/g, '');

  const same = new Map();
  for (const group of words.same) for (const word of group) same.set(fold(word), group.map(fold));

  const cards = [...list.children].map((node) => {
    const { trouble, place, hours, more: reading } = node.dataset;
    return {
      node,
      text: fold(node.textContent + '\n' + reading),
      troubles: ` ${trouble} `,
      places: ` ${place} `,
      isWide: place.startsWith('*'),
      hours: hours ? hours.split(' ').map(Number) : null,
    };
  });

  let minute = null;  // set by the button for now; a chosen hour is a whole hour
  let found = [], shown = 0;

  function wanted() {
    const hour = form.hour.value;
    const from = minute ?? (hour === '' ? null : hour * 60);
    return {
      word: form.word.value.split(/\s+/).map(fold).filter(Boolean).map((word) => same.get(word) ?? [word]),
      trouble: form.trouble.value,
      place: form.place?.value,
      time: form.day.value === '' && from === null ? null
        : { day: form.day.value === '' ? null : +form.day.value, from, to: minute === null ? from + 60 : from + 1 },
    };
  }

  function isOpen([days, opens, closes], { day, from, to }) {
    const on = (d) => days >> ((d + 7) % 7) & 1;
    const during = (shift) => from === null || (opens < to + shift && closes > from + shift);
    const openOn = (d) => (on(d) && during(0)) || (on(d - 1) && from !== null && during(1440));
    return day === null ? [0, 1, 2, 3, 4, 5, 6].some(openOn) : openOn(day);
  }

  // -1 for no match; otherwise the order: local before wide, known hours before unknown.
  function rank(card, want) {
    if (want.trouble && !card.troubles.includes(` ${want.trouble} `)) return -1;
    if (want.place && !card.isWide && !card.places.includes(` ${want.place} `)) return -1;
    if (want.time && card.hours && !isOpen(card.hours, want.time)) return -1;
    for (const any of want.word) if (!any.some((word) => card.text.includes(word))) return -1;
    return (want.time && !card.hours ? 2 : 0) + (want.place && card.isWide ? 1 : 0);
  }

  function search(want) {
    const ranked = [[], [], [], []];
    for (const card of cards) {
      const place = rank(card, want);
      if (place >= 0) ranked[place].push(card);
    }
    return ranked;
  }

  const isSet = (want, name) => (name === 'word' ? want.word.length > 0 : Boolean(want[name]));

  function describe(want) {
    const label = (name) => form.querySelector(`[name=${name}]:checked`).parentNode.textContent.trim();
    const clock = () => `${Math.floor(minute / 60)}:${String(minute % 60).padStart(2, '0')}`;
    const said = [];
    if (want.word.length) said.push(`「${form.word.value.trim()}」`);
    if (want.trouble) said.push(label('trouble'));
    if (want.place) said.push(label('place'));
    if (form.day.value !== '') said.push(fill(words.day, { day: form.day.selectedOptions[0].text }));
    if (want.time && want.time.from !== null) said.push(minute === null ? fill(words.hour, { hour: form.hour.value }) : clock());
    return said.join('・') || words.all;
  }

  function update() {
    const want = wanted(), ranked = search(want);
    found = ranked.flat();
    const wide = ranked[1].length + ranked[3].length, unknown = ranked[2].length + ranked[3].length;
    const parts = [`${fill(words.count, { n: found.length })}（${describe(want)}）`];
    if (wide) parts.push(fill(words.wide, { n: wide }));
    if (unknown) parts.push(fill(words.unknown, { n: unknown }));
    const ways = found.length ? [] : ['word', 'trouble', 'place', 'time'].filter((name) => isSet(want, name))
      .map((name) => [name, search({ ...want, [name]: name === 'word' ? [] : null }).flat().length])
      .filter(([, n]) => n);
    if (!found.length) parts.push(ways.length ? words.none : words.nothing);
    status.textContent = parts.join('　');
    jump.textContent = fill(words.jump, { n: found.length });
    loosen.replaceChildren(...ways.map(([name, n]) => {
      const button = Object.assign(document.createElement('button'), { type: 'button' });
      button.textContent = fill(words.without, { name: words.names[name], n });
      button.onclick = () => { clear(name); results.focus(); };
      return button;
    }));
    show(PAGE);
  }

  function show(count) {
    shown = Math.min(count, found.length);
    list.replaceChildren(...found.slice(0, shown).map((card) => card.node));
    more.hidden = shown === found.length;
  }

  function clear(name) {
    if (name === 'time') { form.day.value = form.hour.value = ''; minute = null; }
    else if (name === 'word') form.word.value = '';
    else form.querySelector(`[name=${name}][value=""]`).checked = true;
    update();
  }

  form.addEventListener('input', (event) => {
    if (event.target.name === 'hour') minute = null;
    if (!event.isComposing) update();  // a word still being converted is not a word yet
  });
  form.addEventListener('compositionend', update);
  form.addEventListener('submit', (event) => { event.preventDefault(); results.focus(); });
  find('#clear').onclick = () => { form.reset(); minute = null; update(); form.word.focus(); };
  find('#now').onclick = () => {
    const time = new Date();
    minute = time.getHours() * 60 + time.getMinutes();
    form.day.value = (time.getDay() + 6) % 7;
    form.hour.value = time.getHours();
    update();
  };
  more.onclick = () => {
    const next = shown;
    show(shown + PAGE);
    const heading = list.children[next].querySelector('h3');
    heading.tabIndex = -1;
    heading.focus();
  };
  addEventListener('beforeprint', () => show(found.length));
  addEventListener('afterprint', () => show(PAGE));
  const old = find('#old');
  old.hidden = new Date() <= new Date(old.dataset.until);  // by the clock of whoever looks
  form.hidden = find('.back').hidden = false;
  update();
})();
