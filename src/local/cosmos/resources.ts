/** What the server says about itself: account, database, container, partition key ranges. */
import type { Collection } from "./collection.ts";

/** An id of `localhost` would make the SDK ignore the locations. */
export const accountBody = (endpoint: string, consistency: string) => {
  const locations = [{ name: "here", databaseAccountEndpoint: `${endpoint}/` }];
  return {
    id: "stand-in",
    _rid: "stand-in",
    _self: "",
    _dbs: "//dbs/",
    writableLocations: locations,
    readableLocations: locations,
    enableMultipleWriteLocations: false,
    userConsistencyPolicy: { defaultConsistencyLevel: consistency },
  };
};

export const databaseBody = (id: string) => ({ id, _rid: id, _self: `dbs/${id}/`, _colls: "colls/", _users: "users/" });

export const collectionBody = ({ definition, rid, self }: Collection) => ({
  id: definition.id,
  _rid: rid,
  _self: self,
  _docs: "docs/",
  partitionKey: { paths: [definition.partitionKey], kind: "Hash", version: 2 },
  ...(definition.defaultTtl === null ? {} : { defaultTtl: definition.defaultTtl }),
  indexingPolicy: {
    indexingMode: "consistent",
    automatic: true,
    includedPaths: [
      ...definition.scalarPaths.map((path) => ({ path: `${path}/?` })),
      ...definition.arrayPaths.map((path) => ({ path: `${path}/[]/?` })),
    ],
    excludedPaths: [{ path: "/*" }],
  },
});

/** One range only: the SDK then takes the direct answer of a query instead of merging several. */
export const rangesBody = ({ rid }: Collection) => ({
  _rid: rid,
  PartitionKeyRanges: [{ id: "0", _rid: rid, minInclusive: "", maxExclusive: "FF", status: "online", parents: [] }],
  _count: 1,
});
