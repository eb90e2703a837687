#pragma once
// The hub as a TAXII 2.1 client: a Puller of kind "taxii". From discovery, an API root or a collection (whatever the peer's URL is) to the
// objects of every collection that may be read, page by page; what came is kept and published as if the partner had brought it itself
// (Taxii::add), so repeating a page changes nothing. A peer that is (also) for going out gets what it may have, into a collection it lets us
// write; its status resources are followed to their end.
//   options of the peer: {"collection": "id, alias or title"} only this one is read; {"write": "..."} this one is written.
// Paging: by `next` while a server gives one; by added_after when it does not, or has forgotten its `next`. A turn begins a second before
// where the last one ended, so that objects with the same date_added as the last one seen are not missed.
// Thread rules: as Puller's.
#include "exchange/peers/pull.hpp"
#include "exchange/taxii/taxii.hpp"

namespace bavn::exchange::taxii {

Puller taxii_puller(Taxii& taxii);

}  // namespace bavn::exchange::taxii
