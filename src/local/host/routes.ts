/**
 * Route templates of ASP.NET Core: literals ignore case, `{id}`, `{id?}`, `{id:int}`, `{name}.{ext}`, `{*rest}`. A wrong verb is no
 * match, and the first match in the order of function names wins: no template is "more specific" than another.
 * https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-templates
 */
export type RouteValues = Record<string, string>;
/** Undefined when the path is not of this template. */
export type RouteMatcher = (path: string) => RouteValues | undefined;

interface Parameter {
  name: string;
  optional: boolean;
  catchAll: boolean;
  allows: (value: string) => boolean;
}

interface Segment {
  pattern: RegExp;
  parameters: Parameter[];
}

/** Throws for syntax which this host does not know (defaults, unknown constraints). */
export const compileRoute = (template: string): RouteMatcher => {
  const segments = template === "" ? [] : splitOutside(template, "/").map(compileSegment);
  segments.forEach((segment, index) => {
    const onlyAtTheEnd = segment.parameters.some(({ optional, catchAll }) => optional || catchAll);
    if (onlyAtTheEnd && index < segments.length - 1)
      throw new Error(`Only the last part of "${template}" may be open.`);
  });
  return (path) => match(segments, splitPath(path));
};

const match = (segments: readonly Segment[], parts: readonly string[]): RouteValues | undefined => {
  const values: RouteValues = {};
  for (const [index, { pattern, parameters }] of segments.entries()) {
    const [first] = parameters;
    if (first?.catchAll) {
      values[first.name] = parts.slice(index).join("/");
      return first.allows(values[first.name] ?? "") ? values : undefined;
    }
    const part = parts[index];
    if (part === undefined) return first?.optional ? values : undefined;
    const found = pattern.exec(part);
    if (!found) return undefined;
    for (const [position, { name, allows }] of parameters.entries()) {
      const value = found[position + 1] ?? "";
      if (!allows(value)) return undefined;
      values[name] = value;
    }
  }
  return parts.length === segments.length ? values : undefined;
};

/** Decoded, but an encoded slash stays as it is: it is data of its segment. One slash at the end says nothing. */
const splitPath = (path: string): string[] => {
  const trimmed = path.replace(/^\//, "").replace(/\/$/, "");
  return trimmed === "" ? [] : trimmed.split("/").map(decode);
};

const decode = (part: string): string => {
  try {
    return decodeURIComponent(part.replaceAll(/%2f/gi, (slash) => `%25${slash.slice(1)}`));
  } catch {
    return part;
  }
};

const compileSegment = (text: string): Segment => {
  const parameters: Parameter[] = [];
  let pattern = "";
  for (const piece of text.split(/(\{(?:[^{}]|\{\{|\}\})*\})/)) {
    if (piece.startsWith("{")) {
      parameters.push(parseParameter(piece.slice(1, -1)));
      pattern += "(.+)";
    } else {
      pattern += piece.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
    }
  }
  return { pattern: new RegExp(`^${pattern}$`, "i"), parameters };
};

const parseParameter = (text: string): Parameter => {
  const form = /^(\*{0,2})([A-Za-z_]\w*)(:.*?)?(\?)?$/.exec(text);
  if (!form) throw new Error(`This host does not know the route parameter {${text}}.`);
  const [, stars = "", name = "", rules = "", optional = ""] = form;
  const constraints = splitOutside(rules, ":").slice(1).map(compileConstraint);
  return {
    name,
    optional: optional !== "",
    catchAll: stars !== "",
    allows: (value) => constraints.every((allows) => allows(value)),
  };
};

/** Splits where the separator is not within braces or parentheses. */
const splitOutside = (text: string, separator: string): string[] => {
  const parts = [""];
  let depth = 0;
  for (const character of text) {
    if ("{(".includes(character)) depth += 1;
    if ("})".includes(character)) depth -= 1;
    if (character === separator && depth === 0) parts.push("");
    else parts.push(`${parts.pop() ?? ""}${character}`);
  }
  return parts;
};

const compileConstraint = (rule: string): ((value: string) => boolean) => {
  const [, kind = "", written = ""] = /^([a-z]+)(?:\((.*)\))?$/i.exec(rule) ?? [];
  const [first = 0, second] = written.split(",").map(Number);
  switch (kind.toLowerCase()) {
    case "int":
      return (value) => isWhole(value, 32);
    case "long":
      return (value) => isWhole(value, 64);
    case "bool":
      return (value) => /^(true|false)$/i.test(value);
    case "alpha":
      return (value) => /^[a-z]*$/i.test(value);
    case "guid":
      return (value) =>
        /^[0-9a-f]{32}$/i.test(value) || /^[{(]?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}[)}]?$/i.test(value);
    case "minlength":
      return (value) => value.length >= first;
    case "maxlength":
      return (value) => value.length <= first;
    case "length":
      return (value) => value.length >= first && value.length <= (second ?? first);
    case "min":
      return (value) => isWhole(value, 64) && Number(value) >= first;
    case "max":
      return (value) => isWhole(value, 64) && Number(value) <= first;
    case "range":
      return (value) => isWhole(value, 64) && Number(value) >= first && Number(value) <= (second ?? first);
    case "regex": {
      const pattern = new RegExp(written.replaceAll("{{", "{").replaceAll("}}", "}"), "i");
      return (value) => pattern.test(value);
    }
    default:
      throw new Error(`This host does not know the route constraint "${rule}".`);
  }
};

const isWhole = (value: string, bits: number): boolean =>
  /^[+-]?\d{1,20}$/.test(value) && BigInt.asIntN(bits, BigInt(value)) === BigInt(value);
