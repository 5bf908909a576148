/* Calls of the API with the token that somebody has given; it is kept here and nowhere else. */

const openClient = (fetch) => {
  let token = null;

  /** Throws the problem that the API answers with; a token that is no longer accepted is forgotten. */
  const call = async (method, path, body, etag) => {
    const answer = await fetch(path, {
      method,
      credentials: "omit",
      cache: "no-store",
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(etag === undefined ? {} : { "if-match": etag }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const json = await answer.json();
    if (answer.ok) return json;
    if (answer.status === 401) token = null;
    throw Object.assign(new Error(json.title), json);
  };

  /** All items of a list. */
  const pages = async (path) => {
    const items = [];
    for (let cursor = null; ; ) {
      const query = new URLSearchParams({ limit: 200, ...(cursor === null ? {} : { cursor }) });
      const page = await call("GET", `${path}?${query}`);
      items.push(...page.items);
      if (page.next === null) return items;
      cursor = page.next;
    }
  };

  return {
    call,
    pages,
    hasToken: () => token !== null,
    use: (given) => {
      token = given;
    },
  };
};

globalThis.setupClient = { openClient };
