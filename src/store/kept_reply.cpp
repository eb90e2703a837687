#include "store/kept_reply.hpp"

#include "base/digest.hpp"

namespace bavn::store {

namespace {

struct Row {
  Blob request;
  std::int64_t status = 0;
  Blob reply;
};
BOOST_DESCRIBE_STRUCT(Row, (), (request, status, reply))

constexpr std::chrono::hours kKept{24};
constexpr std::size_t kMostReply = 256 * 1024;

Result<void> good_key(std::string_view key) {
  if (key.empty() || key.size() > 255) return fail(Code::bad_input, "an Idempotency-Key has 1 to 255 characters");
  return {};
}

}  // namespace

Result<std::optional<KeptReply>> kept_reply(Tx& tx, std::string_view who, std::string_view key,
                                            std::string_view request) {
  BAVN_CHECK(good_key(key));
  BAVN_TRY(auto row, tx.one<Row>("SELECT request, status, reply FROM kept_reply "
                                 "WHERE who = :who AND key = :key AND at_us > :since",
                                 {{"who", who}, {"key", key}, {"since", tx.now() - kKept}}));
  if (!row) return std::nullopt;
  if (row->request.bytes != blake2b256(request))
    return fail(Code::conflict, "this Idempotency-Key was used for another request; use a new one", std::string(key));
  return KeptReply{row->status, std::move(row->reply)};
}

Result<void> keep_reply(Tx& tx, std::string_view who, std::string_view key, std::string_view request,
                        const KeptReply& reply) {
  BAVN_CHECK(good_key(key));
  if (reply.reply.bytes.size() > kMostReply) return fail(Code::bad_input, "the answer is too large to be kept");
  BAVN_CHECK(
      tx.exec("INSERT INTO kept_reply (who, key, request, status, reply, at_us) "
              "VALUES (:who, :key, :request, :status, :reply, :at) "
              "ON CONFLICT (who, key) DO UPDATE SET request = excluded.request, status = excluded.status, "
              "reply = excluded.reply, at_us = excluded.at_us",
              {{"who", who},
               {"key", key},
               {"request", Blob{blake2b256(request)}},
               {"status", reply.status},
               {"reply", reply.reply},
               {"at", tx.now()}}));
  return {};
}

}  // namespace bavn::store
