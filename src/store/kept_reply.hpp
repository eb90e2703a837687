#pragma once
// Answers to requests that may be sent again: same sender, same Idempotency-Key, same request -> the same answer, the effect once. Kept for
// 24 hours (retention class kept_replies). Use both inside the unit that does the work:
//   BAVN_TRY(auto kept, kept_reply(tx, who, key, body));  if (kept) return the kept one;
//   ... do it ...;  BAVN_CHECK(keep_reply(tx, who, key, body, {201, reply}));
#include <optional>
#include <string>
#include <string_view>

#include "store/state.hpp"

namespace bavn::store {

struct KeptReply {
  std::int64_t status = 0;
  Blob reply;
  friend bool operator==(const KeptReply&, const KeptReply&) = default;
};
BOOST_DESCRIBE_STRUCT(KeptReply, (), (status, reply))

/// who: the sender as authenticated, so that nobody reads another's answers. request: method, path and body.
/// Errors: conflict when the key was used for another request; bad_input for an empty key or one above 255 bytes.
Result<std::optional<KeptReply>> kept_reply(Tx& tx, std::string_view who, std::string_view key,
                                            std::string_view request);
/// An answer of more than 256 KiB is refused (bad_input): such an answer names a thing to be fetched.
Result<void> keep_reply(Tx& tx, std::string_view who, std::string_view key, std::string_view request,
                        const KeptReply& reply);

}  // namespace bavn::store
