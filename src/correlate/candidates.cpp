// Groups of digests: enough municipalities in the window make a candidate; a candidate is a campaign that nobody is shown, until signs say more.
#include <algorithm>

#include "correlate/correlator_inner.hpp"

namespace bavn::correlate {

namespace {

/// Municipalities within any one window.
std::int64_t most_in_window(const std::vector<GroupSeen>& seen, std::int64_t window_us) {
  std::vector<std::int64_t> first;
  first.reserve(seen.size());
  for (const auto& s : seen) first.push_back(s.first_us);
  std::sort(first.begin(), first.end());
  std::size_t from = 0, most = 0;
  for (std::size_t to = 0; to < first.size(); ++to) {
    while (first[to] - first[from] > window_us) ++from;
    most = std::max(most, to - from + 1);
  }
  return static_cast<std::int64_t>(most);
}

/// "host/path" as canonical URLs are written.
std::string url_of(const GroupRevealed& r) {
  std::string path = r.path;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (path.empty() || path == "/") return r.host + "/";
  return r.host + (path.starts_with('/') ? "" : "/") + path;
}

}  // namespace

bool Correlator::Inner::pilot() {
  const Duration now = runtime.steady();
  if (!pilot_at || now - *pilot_at > std::chrono::minutes(1)) {
    pilot_at = now;
    const auto all = members.all();
    is_pilot = std::count_if(all.begin(), all.end(), [](const Member& m) { return m.connected; }) < options.pilot_below;
  }
  return is_pilot;
}

Result<void> Correlator::Inner::take_group(store::Tx& tx, const Group& g) {
  if (g.seen.empty()) return {};
  const std::string key = "group:" + g.id;
  std::vector<std::int64_t> senders;
  for (const auto& d : g.sender_domains)
    if (const auto m = members.of_domain(d)) senders.push_back(m->value);
  std::sort(senders.begin(), senders.end());
  senders.erase(std::unique(senders.begin(), senders.end()), senders.end());

  BAVN_TRY(auto row, thing(tx, key));
  bool grew = false, signs = false, revealed = false;
  const bool is_new = !row;
  if (is_new) {
    const std::int64_t need = pilot()            ? options.pilot_municipalities
                              : !senders.empty() ? options.candidate_member_sender
                                                 : options.candidate_municipalities;
    if (most_in_window(g.seen, std::chrono::microseconds(options.candidate_window).count()) < need) return {};
    row = ThingRow{.key = key,
                   .kind = "group",
                   .first_us = g.first_us,
                   .last_us = g.last_us,
                   .noticed_us = micros(tx.now()),
                   .received_us = micros(tx.now()),
                   .source = "digest"};
    if (!senders.empty()) row->from_municipality = senders.front();
    if (g.seen.size() == 1) row->municipality = g.seen.front().municipality.value;
    BAVN_CHECK(insert_thing(tx, *row));
  } else if (g.first_us < row->first_us || g.last_us > row->last_us ||
             (row->from_municipality == 0 && !senders.empty())) {
    row->first_us = std::min(row->first_us, g.first_us);
    row->last_us = std::max(row->last_us, g.last_us);
    if (row->from_municipality == 0 && !senders.empty()) row->from_municipality = senders.front();
    BAVN_CHECK(change(tx, "UPDATE corr_thing SET first_us = :f, last_us = :l, from_municipality = :m WHERE key = :k",
                      {{"f", row->first_us}, {"l", row->last_us}, {"m", row->from_municipality}, {"k", key}}));
  }
  if (g.revealed && row->about_kind.empty()) {
    revealed = true;
    row->about_kind = g.kind == "attachment" ? "attachment" : "url";
    row->about = g.kind == "attachment" ? g.revealed->sha256 : url_of(*g.revealed);
    row->about_name = g.revealed->file_name;
    BAVN_CHECK(change(tx, "UPDATE corr_thing SET about_kind = :a, about = :v, about_name = :n WHERE key = :k",
                      {{"a", row->about_kind}, {"v", row->about}, {"n", row->about_name}, {"k", key}}));
  }
  BAVN_TRY(const auto there,
           tx.all<ReachRow>("SELECT thing, municipality, mails, first_us, last_us, parts, domains FROM "
                            "corr_reach WHERE thing = :t",
                            {{"t", key}}));
  std::map<std::int64_t, const ReachRow*> known_reach;
  for (const auto& r : there) known_reach[r.municipality] = &r;
  for (const auto& s : g.seen) {
    const auto it = known_reach.find(s.municipality.value);
    if (it != known_reach.end() && it->second->mails >= s.mails && it->second->first_us <= s.first_us) continue;
    grew = true;
    BAVN_CHECK(
        change(tx,
               "INSERT INTO corr_reach (thing, municipality, mails, first_us, last_us, parts, domains) VALUES (:t, :m, "
               ":n, :f, :l, 0, '') ON CONFLICT DO UPDATE SET mails = max(mails, excluded.mails), first_us = "
               "min(first_us, excluded.first_us), last_us = max(last_us, excluded.last_us)",
               {{"t", key},
                {"m", s.municipality.value},
                {"n", s.mails},
                {"f", s.first_us},
                {"l", std::max(s.first_us, g.last_us)}}));
  }
  for (const auto& s : g.signs) {
    BAVN_TRY(const bool added, add_sign(tx, key, s.sign, s.municipality.value));
    signs |= added;
  }
  if (revealed && known) {
    const bool url = row->about_kind == "url";
    std::string list = row->about.empty() ? std::string() : known(tx, url ? "url" : "sha256", row->about);
    if (list.empty() && url) list = known(tx, "domain", g.revealed->host);
    if (!list.empty()) {
      const event::Sign sign{"intelligence", std::string(kIndicator), micros(tx.now()), list.substr(0, 200)};
      BAVN_TRY(const bool added, add_sign(tx, key, sign, 0));
      signs |= added;
    }
  }
  if (!is_new && !grew && !signs && !revealed) return {};
  // Again whenever it grows as long as it stands alone: the notice it belongs to may come after it.
  BAVN_TRY(const auto alone_in,
           is_new ? Result<std::int64_t>(0)
                  : tx.number("SELECT things FROM corr_campaign WHERE id = :c", {{"c", row->campaign}}));
  if (is_new || revealed || alone_in <= 1) {
    BAVN_TRY(row->campaign, assign(tx, *row, g.kind == "attachment" ? "attachment" : "url", senders));
  }
  if (row->campaign == 0) return {};
  if (is_new && digests != nullptr) BAVN_CHECK(digests->want_reveal(tx, g.id, "candidate"));
  if (signs && !is_new) return after_signs(tx, *row);
  return evaluate(tx, row->campaign);
}

}  // namespace bavn::correlate
