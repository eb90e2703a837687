// A sender notice on its way: each receiver gets its own Message-IDs and nothing of others, in the transaction that took the notice; what is
// known beside follows when it becomes known.
#include <fmt/format.h>

#include "correlate/correlator_inner.hpp"
#include "net/json_views.hpp"

namespace bavn::correlate {

namespace {

constexpr std::size_t kIdsAnEntry = 900, kBytesAnEntry = 56U << 10U;  // an entry holds 64 KiB

std::size_t in_json(std::string_view id) {
  std::size_t n = id.size() + 3;
  for (const char c : id) n += c == '"' || c == '\\' ? 1U : 0U;
  return n;
}

std::string second_text(const Weight& w) {
  std::string out = w.takeover ? "T" : "";
  for (const auto& s : w.second) out += " " + s.kind;
  return out;
}

struct Domains {
  std::string text;
  std::vector<std::string> list() const {
    std::vector<std::string> out;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find(' ', at), text.size());
      out.push_back(text.substr(at, end - at));
      at = end + 1;
    }
    return out;
  }
};

}  // namespace

Result<Weight> Correlator::Inner::second_signs_of(store::Tx& tx, const ThingRow& notice) {
  // Of the sender's own things, and of what digests and content say of the campaign; not of other senders in it.
  BAVN_TRY(const auto rows,
           tx.all<SignRow>(
               "SELECT s.thing, s.grp, s.kind, s.municipality, s.ref, s.at_us, s.count, s.detail FROM corr_thing t "
               "JOIN corr_sign s ON s.thing = t.key WHERE t.campaign = :c AND (t.sender = :a OR t.kind = 'group') "
               "AND t.withdrawn = 0 LIMIT 2000",
               {{"c", notice.campaign}, {"a", notice.sender}}));
  std::vector<SignFact> counted;
  std::map<std::int64_t, bool> believed;
  for (auto& fact : facts_from(rows)) {
    if (!believed.contains(fact.municipality)) {
      BAVN_TRY(believed[fact.municipality], alone(tx, fact.municipality));
    }
    // Who cried wolf may say what it likes of its own account, but empties no mailbox of others by that.
    if (believed[fact.municipality]) counted.push_back(std::move(fact));
  }
  return weigh(counted, notice.mails, options);
}

Result<void> Correlator::Inner::send_ids(store::Tx& tx, const ThingRow& notice,
                                         const std::map<std::uint16_t, ToOne>& to) {
  BAVN_TRY(const Weight second, second_signs_of(tx, notice));
  for (const auto& [municipality, one] : to) {
    BAVN_TRY(const auto reach,
             tx.one<ReachRow>("SELECT thing, municipality, mails, first_us, last_us, parts, domains FROM corr_reach "
                              "WHERE thing = :t AND municipality = :m",
                              {{"t", notice.key}, {"m", municipality}}));
    if (!reach) return fail(Code::corrupt, fmt::format("whom {} reached is not written down", notice.key));
    event::SenderIds ids;
    ids.notice = notice.key.substr(7);  // without "notice:"
    ids.sender = notice.sender;
    ids.part = reach->parts;
    ids.from_us = notice.first_us;
    ids.to_us = notice.last_us;
    ids.domains = one.domains;
    ids.mails = reach->mails;
    if (notice.withdrawn == 0) {
      ids.second_signs = second.second;
      ids.takeover = second.takeover;
    } else {
      ids.withdrawn = true;
    }
    std::size_t at = 0;
    do {
      ids.message_ids.clear();
      std::size_t bytes = 0;
      while (at < one.ids.size() && ids.message_ids.size() < kIdsAnEntry &&
             bytes + in_json(one.ids[at]) <= kBytesAnEntry) {
        bytes += in_json(one.ids[at]);
        ids.message_ids.push_back(one.ids[at++]);
      }
      ++ids.part;
      BAVN_CHECK(down(tx, MunicipalityId{municipality}, "sender_ids", net::to_json(ids)));
    } while (at < one.ids.size());
    BAVN_CHECK(change(tx, "UPDATE corr_reach SET parts = :p WHERE thing = :t AND municipality = :m",
                      {{"p", ids.part}, {"t", notice.key}, {"m", municipality}}));
  }
  return {};
}

Result<void> Correlator::Inner::tell_second_signs(store::Tx& tx, ThingRow& notice,
                                                  const std::map<std::uint16_t, ToOne>& except, bool anyway) {
  BAVN_TRY(const Weight second, second_signs_of(tx, notice));
  const std::string now = second_text(second);
  if (now == notice.second && !anyway) return {};
  notice.second = now;
  BAVN_CHECK(change(tx, "UPDATE corr_thing SET second = :s WHERE key = :k", {{"s", now}, {"k", notice.key}}));
  BAVN_TRY(const auto all,
           tx.all<ReachRow>("SELECT thing, municipality, mails, first_us, last_us, parts, domains FROM corr_reach "
                            "WHERE thing = :t AND parts > 0",
                            {{"t", notice.key}}));
  for (const auto& reach : all) {
    if (except.contains(static_cast<std::uint16_t>(reach.municipality))) continue;
    event::SenderIds ids;
    ids.notice = notice.key.substr(7);
    ids.sender = notice.sender;
    ids.part = reach.parts + 1;
    ids.from_us = notice.first_us;
    ids.to_us = notice.last_us;
    ids.domains = Domains{reach.domains}.list();
    ids.mails = reach.mails;
    ids.withdrawn = notice.withdrawn != 0;
    if (!ids.withdrawn) {
      ids.second_signs = second.second;
      ids.takeover = second.takeover;
    }
    BAVN_CHECK(
        down(tx, MunicipalityId{static_cast<std::uint16_t>(reach.municipality)}, "sender_ids", net::to_json(ids)));
    BAVN_CHECK(change(tx, "UPDATE corr_reach SET parts = :p WHERE thing = :t AND municipality = :m",
                      {{"p", ids.part}, {"t", notice.key}, {"m", reach.municipality}}));
  }
  return {};
}

}  // namespace bavn::correlate
