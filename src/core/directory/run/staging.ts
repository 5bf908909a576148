/**
 * The plan of a run while it grows: changes by pass, raw membership changes, and what was met. It lives in memory; `flush` writes
 * what is new to `work`, and only the cursor makes that count. A small plan is never flushed at all.
 */
import type { KeyRing } from "../../crypto/key-ring.ts";
import type { RunCounts } from "../../store/documents.ts";
import { isShown } from "../group-roles.ts";
import { IdSet } from "../id-set.ts";
import {
  type Change,
  edgeTerm,
  type GroupChange,
  type MembersChange,
  type PersonChange,
  planTerm,
  TermSum,
} from "../plan.ts";
import type { Feed } from "../ports.ts";
import type { Pass, StagedPlan } from "./cursor.ts";
import { GroupNotes } from "./group-notes.ts";
import { MetObjects } from "./met-objects.ts";
import { idsPerChange, PlanChunks, type PlannedChildren } from "./plan-chunks.ts";
import { ToldMembers } from "./told-members.ts";
import { type WorkNeeds, WorkParts } from "./work-parts.ts";

type ObjectChange = PersonChange | GroupChange;

const withoutAttributes = (change: Change): Change => {
  if (change.kind !== "person") return change;
  const { record: _record, ...rest } = change;
  return rest;
};

const countOf: Record<string, keyof RunCounts> = {
  "person create": "peopleCreated",
  "person update": "peopleUpdated",
  "person revive": "peopleRevived",
  "person deactivate": "peopleDeactivated",
  "person keep": "peopleKept",
  "group create": "groupsCreated",
  "group update": "groupsUpdated",
  "group remove": "groupsRemoved",
};

export interface NetMembers {
  group: string;
  op: "add" | "remove";
  people: string[];
  children: string[];
  /** The product sees the group: its memberships are told of. */
  counted: boolean;
  evidence?: string;
}

export interface StagingNeeds extends WorkNeeds {
  ring: KeyRing;
  counts: RunCounts;
  /** Nobody is admitted by a dry run: it stages ids and hash terms, and no attribute of anybody. */
  dry: boolean;
}

export class Staging {
  readonly #needs: StagingNeeds;
  readonly #parts: WorkParts;
  readonly #met: MetObjects;
  readonly #chunks: PlanChunks;
  #flushed: boolean;
  readonly sum: TermSum;
  /** What the feed tells of members. */
  readonly told: ToldMembers;
  readonly notes: GroupNotes;

  constructor(needs: StagingNeeds, cursor: StagedPlan) {
    this.#needs = needs;
    this.#parts = new WorkParts(needs, cursor);
    this.#met = new MetObjects(this.#parts);
    this.#chunks = new PlanChunks(this.#parts, needs.dry ? withoutAttributes : (change) => change);
    this.told = new ToldMembers(this.#parts);
    this.notes = new GroupNotes(this.#parts);
    this.sum = new TermSum(cursor.sum);
    this.#flushed = Object.values(cursor.staged).some((parts) => parts > 0);
  }

  /** Loads what was met and noted before the slice. */
  async resume(): Promise<void> {
    await this.#met.resume();
    await this.notes.resume();
  }

  /** Everything staged is still in memory. */
  get inMemory(): boolean {
    return !this.#flushed;
  }

  /** Changes and raw membership changes that are only in memory. */
  get unflushed(): number {
    return this.#chunks.unflushed + this.told.unflushed;
  }

  /** Nothing is only in memory; objects that were met without a change count too. */
  get written(): boolean {
    return this.unflushed === 0 && this.#met.written && this.notes.written;
  }

  met(feed: Feed, id: string): boolean {
    return this.#met.has(feed, id);
  }

  /** What earlier occurrences in this round said of the object; null = not met. */
  said(feed: Feed, id: string): "there" | "gone" | null {
    return this.#met.said(feed, id);
  }

  /** Remembers a group of which nothing was staged; should it matter later, what was told of it is not all. */
  passOver(group: string): void {
    this.#met.meet("groups", group, "passed-over");
  }

  passedOver(group: string): boolean {
    return this.#met.passedOver(group);
  }

  /** The change that earlier occurrences of the object led to, or null (also when it was never met). */
  async changeOf(feed: Feed, id: string): Promise<ObjectChange | null> {
    const place = this.#met.placeOf(feed, id);
    if (!place) return null;
    const changes = await this.#chunks.get(place);
    return (
      (changes.find((change) => change.kind !== "members" && change.id === id) as ObjectChange | undefined) ?? null
    );
  }

  /** Where the object's change is; null = none is planned. */
  passOf(feed: Feed, id: string): Pass | null {
    return this.#met.placeOf(feed, id)?.pass ?? null;
  }

  /** Puts `change` in the place of what was planned for the object before (`earlier`); null = nothing is to change. */
  plan(feed: Feed, id: string, change: ObjectChange | null, earlier: ObjectChange | null, gone: boolean): void {
    if (earlier) {
      this.sum.remove(planTerm(this.#needs.ring, earlier));
      this.#count(earlier, -1);
    }
    if (change) {
      this.sum.add(planTerm(this.#needs.ring, change));
      this.#count(change, 1);
      this.#met.meet(feed, id, this.#chunks.append(change));
    } else this.#met.meet(feed, id, gone ? "gone" : "there");
  }

  /** Net membership changes of one group; split so that no change holds more than `idsPerChange` people. */
  planMembers({ group, op, people, children, counted, evidence }: NetMembers): void {
    for (const member of [...people, ...children]) this.sum.add(edgeTerm(this.#needs.ring, group, op, member));
    if (counted) this.#needs.counts[op === "add" ? "membershipsAdded" : "membershipsRemoved"] += people.length;
    for (let at = 0; at === 0 || at < people.length; at += idsPerChange) {
      const change: MembersChange = {
        kind: "members",
        op,
        group,
        people: people.slice(at, at + idsPerChange),
        children: at === 0 ? children : [],
        ...(evidence ? { evidence } : {}),
      };
      if (change.people.length + change.children.length > 0) this.#chunks.append(change);
    }
  }

  /** Who comes into the group, and who goes, as far as it is planned. */
  async plannedMembers(group: string): Promise<{ add: IdSet; remove: IdSet }> {
    const planned = { add: new IdSet(), remove: new IdSet() };
    for (const { op, people } of await this.#chunks.membersOf(group)) for (const id of people) planned[op].add(id);
    return planned;
  }

  /** Which groups come into the group, and which leave it; null = none, as far as it is planned. */
  plannedChildren(group: string): Promise<PlannedChildren | null> {
    return this.#chunks.childrenOf(group);
  }

  /** Takes back what was planned for the members of a group that turns out to be no longer held; `current` passes it over. */
  async forgetMembers(group: string, counted: boolean): Promise<void> {
    for (const change of await this.#chunks.membersOf(group)) {
      for (const member of [...change.people, ...change.children])
        this.sum.remove(edgeTerm(this.#needs.ring, group, change.op, member));
      if (counted)
        this.#needs.counts[change.op === "add" ? "membershipsAdded" : "membershipsRemoved"] -= change.people.length;
    }
  }

  /** How many chunks a pass has. */
  chunks(pass: Pass): number {
    return this.#chunks.count(pass);
  }

  chunk(pass: Pass, chunk: number): Promise<Change[]> {
    return this.#chunks.get({ pass, chunk });
  }

  /** Asks for a chunk that will soon be wanted. A failure shows when its turn has come. */
  expect(pass: Pass, chunk: number): void {
    if (chunk < this.chunks(pass)) this.chunk(pass, chunk).catch(() => {});
  }

  /** Whether this is the newest word on the object: an older chunk may hold a change that a later page has replaced. */
  current(change: Change, pass: Pass, chunk: number): boolean {
    if (change.kind === "members") return this.said("groups", change.group) !== "gone";
    const place = this.#met.placeOf(change.kind === "person" ? "users" : "groups", change.id);
    return place?.pass === pass && place.chunk === chunk;
  }

  /** Remembers for the rest of the slice what this run has made of a person. */
  wrotePerson(id: string, active: boolean): void {
    this.#met.flagPerson(id, active);
  }

  /** This slice itself has written the person as active; false says nothing. */
  isWrittenActive(id: string): boolean {
    return this.#met.isFlagged(id);
  }

  /** Writes what is only in memory to `work`; returns the part of the cursor that points at it. */
  async flush(): Promise<StagedPlan> {
    await this.#chunks.flush();
    await this.told.flush();
    await this.#met.flush();
    await this.notes.flush();
    this.#flushed = true;
    return { ...this.#parts.position, sum: this.sum.toString() };
  }

  #count(change: ObjectChange, by: 1 | -1): void {
    if (change.kind === "group" ? !isShown(change.role) : change.silent) return;
    const name = countOf[`${change.kind} ${change.op}`];
    if (name) this.#needs.counts[name] += by;
  }
}
