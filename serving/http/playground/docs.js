/** The API documentation: every route of /openapi.json with its fields, an example of each kind, and its answers. */

import { element } from "./elements.js";
import { ask, withAccess } from "./server.js";

const byId = (id) => document.getElementById(id);

async function show() {
  const { paths, components } = await ask("openapi.json");
  const groups = new Map();
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const group = operation.tags?.[0] ?? "other";
      groups.set(group, [...(groups.get(group) ?? []), route(method.toUpperCase(), path, operation, components.schemas)]);
    }
  }
  byId("routes").replaceChildren(...[...groups].flatMap(([name, routes]) => [element("h2", {}, name), ...routes]));
  byId("problem").textContent = "";
}

function route(method, path, operation, schemas) {
  const content = operation.requestBody?.content ?? {};
  const [type, body] = Object.entries(content)[0] ?? [];
  const parts = [element("p", {}, operation.description ?? "")];
  if (body?.schema) parts.push(...section("Fields", fields(resolved(body.schema, schemas))));
  const examples = Object.entries(body?.examples ?? {});
  for (const [name, { value }] of examples) parts.push(...section(`Example: ${name}`, curl(method, path, type, value)));
  if (!examples.length) parts.push(...section("Example", curl(method, path)));
  const answer = operation.responses["200"]?.content?.["application/json"]?.schema;
  if (answer) parts.push(...section("Answer", fields(resolved(answer, schemas))));
  const others = Object.keys(operation.responses).filter((status) => status !== "200");
  if (others.length) parts.push(...section("Other statuses", element("p", {}, others.join(", "))));
  const summary = element("summary", {}, element("span", { class: "method" }, method), " ", element("code", {}, path));
  return element("details", { class: "route" }, summary, element("div", {}, ...parts));
}

function section(title, content) {
  return content ? [element("h3", {}, title), content] : [];
}

/** The schema behind references, and the first of several that has fields. */
function resolved(schema, schemas) {
  if (schema.$ref) return resolved(schemas[schema.$ref.split("/").at(-1)], schemas);
  const choices = (schema.anyOf ?? []).map((choice) => resolved(choice, schemas));
  return choices.find(({ properties }) => properties) ?? schema;
}

function fields({ properties, required = [] }) {
  if (!properties) return null;
  const rows = Object.entries(properties).map(([name, field]) => {
    const note = required.includes(name) ? "" : ", optional";
    const about = element("td", {}, element("code", {}, name), element("span", { class: "quiet" }, kind(field) + note));
    return element("tr", {}, about, element("td", {}, field.description ?? ""));
  });
  return element("table", {}, element("tbody", {}, ...rows));
}

function kind(field) {
  if (field.anyOf) return field.anyOf.filter(({ type }) => type !== "null").map(kind).join(" or ");
  if (field.type === "array") return `list of ${kind(field.items ?? {})}`;
  return field.$ref?.split("/").at(-1) ?? field.enum?.join(" or ") ?? field.type ?? "any";
}

function curl(method, path, type, value) {
  const url = new URL(path.slice(1), new URL("./", location.href));
  const lines = [`curl '${decodeURI(url.href)}'`];
  if (method === "POST") lines[0] = `curl -X POST '${decodeURI(url.href)}'`;
  if (value !== undefined) {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    lines.push(`-H 'Content-Type: ${type}'`, `-d '${text.replaceAll("'", "'\\''")}'`);
  }
  return element("pre", { tabindex: "0" }, lines.join(" \\\n  "));
}

await withAccess(show, (problem) => {
  byId("problem").textContent = problem.message;
});
