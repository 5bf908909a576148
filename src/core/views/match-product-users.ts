/**
 * Who of a connection a user of the product might be, by address. A hint and never a link: an address is given to somebody else
 * one day, and whoever manages a tenant can type any. It is looked up by its keyed hash, so nothing is opened to find it.
 */
import { z } from "zod";
import type { Caller, ConnectionContext } from "../context.ts";
import { blindIndex } from "../crypto/key-ring.ts";
import { knownPerson } from "../directory/run/known.ts";
import { ids, personOf } from "../store/documents.ts";
import { ProductUserId } from "./link-product-user.ts";
import { openReadable, type ViewNeeds } from "./readable.ts";

const Hint = z.string().max(320).regex(/\S/, "is empty");

const Candidate = z
  .strictObject({
    productUserId: ProductUserId,
    mail: Hint.optional(),
    userPrincipalName: Hint.optional(),
    /** Compared with those whom an address has found; nobody is looked up by it. */
    employeeId: Hint.optional(),
  })
  .refine(
    ({ mail, userPrincipalName }) => mail !== undefined || userPrincipalName !== undefined,
    "has neither mail nor userPrincipalName",
  );
type Candidate = z.infer<typeof Candidate>;

export const MatchProductUsers = z.strictObject({ candidates: z.array(Candidate).min(1).max(200) });
export type MatchProductUsers = z.infer<typeof MatchProductUsers>;

export const Match = z.strictObject({
  productUserId: ProductUserId,
  result: z.enum(["none", "one", "ambiguous"]),
  /** Always false: equal addresses prove nothing. */
  proof: z.literal(false),
  /** Whom this product user is linked to already. */
  linkedTo: z.string().nullable(),
  /** Not more than ten for each address. */
  persons: z.array(
    z.strictObject({
      id: z.string(),
      fits: z.array(z.enum(["mail", "userPrincipalName", "employeeId"])),
      /** Linked to some user of the product. */
      isLinked: z.boolean(),
    }),
  ),
});
export type Match = z.infer<typeof Match>;

const peoplePerAddress = 10;
const candidatesAtOnce = 10;

export const matchProductUsers =
  (needs: ViewNeeds) =>
  async (caller: Caller, connectionId: string, { candidates }: MatchProductUsers): Promise<{ items: Match[] }> => {
    const { context } = await openReadable(needs)(caller.workspaceId, connectionId);
    const rowOf = ({ productUserId }: Candidate): string =>
      ids.productUser(blindIndex(context.ring, "product-user", productUserId));
    const rows = await needs.store.load(connectionId, "product-user", candidates.map(rowOf));
    const items: Match[] = [];
    for (let at = 0; at < candidates.length; at += candidatesAtOnce) {
      const part = candidates.slice(at, at + candidatesAtOnce);
      const found = await Promise.all(part.map((candidate) => peopleLike(needs, context, candidate)));
      for (const [index, candidate] of part.entries()) {
        const persons = found[index] ?? [];
        items.push({
          productUserId: candidate.productUserId,
          result: persons.length === 0 ? "none" : persons.length === 1 ? "one" : "ambiguous",
          proof: false,
          linkedTo: rows.get(rowOf(candidate))?.personId ?? null,
          persons,
        });
      }
    }
    return { items };
  };

const peopleLike = async (
  { store }: ViewNeeds,
  { connectionId, ring }: ConnectionContext,
  { mail, userPrincipalName, employeeId }: Candidate,
): Promise<Match["persons"]> => {
  const having = (index: "mailIndex" | "upnIndex", value: string) =>
    store.peopleByIndex(connectionId, index, value, peoplePerAddress);
  const [byMail, byName] = await Promise.all([
    mail === undefined ? [] : having("mailIndex", blindIndex(ring, "mail", mail)),
    userPrincipalName === undefined ? [] : having("upnIndex", blindIndex(ring, "upn", userPrincipalName)),
  ]);
  const everybody = new Map([...byMail, ...byName].map((doc) => [doc.id, doc]));
  const haveMail = new Set(byMail.map(({ id }) => id));
  const haveName = new Set(byName.map(({ id }) => id));
  return [...everybody.values()]
    .map((doc) => {
      const fits: Match["persons"][number]["fits"] = [];
      if (haveMail.has(doc.id)) fits.push("mail");
      if (haveName.has(doc.id)) fits.push("userPrincipalName");
      if (employeeId !== undefined && knownPerson(ring, doc).record?.fields.employeeId === employeeId)
        fits.push("employeeId");
      return { id: personOf(doc.id), fits, isLinked: doc.productUser !== null };
    })
    .toSorted((one, other) => (one.id < other.id ? -1 : 1));
};
