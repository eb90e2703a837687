// What comes in, kind by kind: is it theirs to say, is it new, what does it change.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"
#include "correlate/correlator_inner.hpp"
#include "correlate/words.hpp"

namespace bavn::correlate {

using event::Sign;

namespace {
struct TakeoverBefore {
  std::string account, level;
  std::int64_t part = 0, first_us = 0;
};
BOOST_DESCRIBE_STRUCT(TakeoverBefore, (), (account, level, part, first_us))

/// A row of what was just heard of: a sender's notice or a burst. from: whose mailbox sends.
template <class Notice>
ThingRow thing_of(const std::string& key, std::string_view kind, const Report& report, MunicipalityId from,
                  const Notice& n, std::int64_t now) {
  return {.key = key,
          .kind = std::string(kind),
          .municipality = report.municipality.value,
          .from_municipality = from.value,
          .sender = n.sender,
          .first_us = n.from_us,
          .last_us = n.to_us,
          .noticed_us = n.noticed_us,
          .received_us = now,
          .mails = n.mails,
          .recipients = n.recipients,
          .usual = n.usual,
          .source = n.source,
          .late_s = n.late_s,
          .part = n.part,
          .subject_hash = n.subject_hash,
          .body_hash = n.body_simhash};
}
}  // namespace

std::unexpected<Error> refused_for(Code code, std::string_view reason, std::string what) {
  return fail(code, std::move(what), std::string(reason));
}

Result<void> Correlator::Inner::take(store::Tx& tx, const Report& report) {
  auto taken = [&]() -> Result<void> {
    if (report.kind == "sender_notice") return take_sender_notice(tx, report);
    if (report.kind == "takeover") return take_takeover(tx, report);
    if (report.kind == "burst") return take_burst(tx, report);
    if (report.kind == "harm") return take_harm(tx, report);
    if (report.kind == "digest" || report.kind == "revealed") return take_digests(tx, report);
    return refused_for(Code::bad_input, "unknown_kind", fmt::format("correlation takes no {}", report.kind));
  }();
  if (!taken && (taken.error().code == Code::bad_input || taken.error().code == Code::forbidden))
    note_refused(report.municipality, report.kind, taken.error().where.empty() ? "bad_input" : taken.error().where,
                 taken.error().what);
  return taken;
}

Result<void> Correlator::Inner::within_rate(const Report& report, std::string_view what, std::int64_t limit) {
  const std::int64_t hour = micros(runtime.now()) / 3'600'000'000;
  Rate& rate = rates[{report.municipality.value, what}];
  if (rate.hour != hour) rate = {hour, 0};
  if (++rate.count <= limit) return {};
  return refused_for(
      Code::forbidden, "flood",
      fmt::format("municipality {} sent more than {} {} this hour", report.municipality.value, limit, what));
}

void Correlator::Inner::note_refused(MunicipalityId of, std::string_view kind, std::string_view reason,
                                     std::string_view example) {
  metrics.counter("correlate_refused", fmt::format("reason={}", reason)).add();
  const std::int64_t now = micros(runtime.now());
  const bool write = refusals->with([&](Refusals& r) {
    ++r.all[fmt::format("{}/{}", kind, reason)];
    // A node may send any kind; what is counted apart is bounded.
    const std::string counted = Correlator::takes(kind) ? std::string(kind) : "other";
    Refused& one = r.waiting[{of.value, counted, std::string(reason)}];
    if (one.count++ == 0) {
      one.first_us = now;
      one.example = std::string(example.substr(0, 200));
    }
    one.last_us = now;
    return !std::exchange(r.writing, true);
  });
  if (!write) return;
  log::warn("correlate_refused", {{"municipality", of.value}, {"kind", kind}, {"reason", reason}});
  // Not in this transaction: what is refused is undone.
  state.write([kept = refusals](store::Tx& tx) -> Result<void> {
    const auto waiting = kept->with([](Refusals& r) {
      r.writing = false;
      return std::exchange(r.waiting, {});
    });
    for (const auto& [key, one] : waiting)
      BAVN_CHECK(change(tx,
                        "INSERT INTO corr_refused (municipality, kind, reason, count, first_us, last_us, example) "
                        "VALUES (:m, :k, :r, :n, :f, :l, :e) ON CONFLICT DO UPDATE SET count = count + excluded.count, "
                        "last_us = excluded.last_us, example = excluded.example",
                        {{"m", std::get<0>(key)},
                         {"k", std::get<1>(key)},
                         {"r", std::get<2>(key)},
                         {"n", one.count},
                         {"f", one.first_us},
                         {"l", one.last_us},
                         {"e", one.example}}));
    return {};
  });
}

Result<void> Correlator::Inner::take_sender_notice(store::Tx& tx, const Report& report) {
  BAVN_TRY(auto n, read_sender_notice(report.body, tx.now()));
  if (members.of_domain(domain_of(n.sender)) != report.municipality)
    return refused_for(Code::forbidden, "foreign_sender",
                       fmt::format("municipality {} told of a sender at {}, which is not its own",
                                   report.municipality.value, domain_of(n.sender)));
  if (n.part < 1 || n.part > options.parts_per_notice)
    return refused_for(n.part < 1 ? Code::bad_input : Code::forbidden, n.part < 1 ? "bad_number" : "flood",
                       fmt::format("a notice has parts 1 to {}", options.parts_per_notice));
  const std::string key = fmt::format("notice:{}.{}", report.municipality.value, n.id);
  BAVN_TRY(auto row, thing(tx, key));
  if (row && row->sender != n.sender)
    return refused_for(Code::bad_input, "changed_sender", "a notice keeps its sender");
  if (!row) BAVN_CHECK(within_rate(report, "notices", options.notices_per_hour));

  // What is for whom. A domain that is no member's is nobody's to hear of.
  std::map<std::uint16_t, ToOne> to;
  std::int64_t strangers = 0;
  std::string stranger;
  for (auto& d : n.to) {
    const auto of = members.of_domain(d.domain);
    if (!of) {
      ++strangers;
      stranger = d.domain;
      continue;
    }
    ToOne& one = to[of->value];
    one.mails += d.mails;
    one.domains.push_back(std::move(d.domain));
    one.ids.insert(one.ids.end(), std::make_move_iterator(d.message_ids.begin()),
                   std::make_move_iterator(d.message_ids.end()));
  }
  if (to.empty() && strangers > 0)
    return refused_for(Code::bad_input, "no_member_domain", "none of the domains that this notice names is a member's");
  if (strangers > 0)
    note_refused(report.municipality, report.kind, "no_member_domain",
                 fmt::format("Message-IDs for {}, which is no member's domain, go to nobody", stranger));

  BAVN_TRY(const auto fresh,
           tx.exec("INSERT OR IGNORE INTO corr_part (thing, part) VALUES (:t, :p)", {{"t", key}, {"p", n.part}}));
  if (fresh == 0) return {};  // the same part again
  const std::int64_t now = micros(tx.now());
  const std::int64_t reached_from = row ? std::max(row->first_us, std::min(row->last_us, n.to_us)) : n.from_us;
  const bool is_new = !row;
  bool words = false;  // it says something else now: what it is found by grows
  if (is_new) {
    row = thing_of(key, "notice", report, report.municipality, n, now);
    row->outside = n.outside;
    BAVN_CHECK(insert_thing(tx, *row));
  } else {
    words = (!n.subject_hash.empty() && n.subject_hash != row->subject_hash) ||
            (!n.body_simhash.empty() && n.body_simhash != row->body_hash);
    if (words) {
      row->subject_hash = n.subject_hash;
      row->body_hash = n.body_simhash;
    }
    row->first_us = std::min(row->first_us, n.from_us);
    row->last_us = std::max(row->last_us, n.to_us);
    row->mails = std::max(row->mails, n.mails);
    row->recipients = std::max(row->recipients, n.recipients);
    row->outside = std::max(row->outside, n.outside);
    row->part = std::max(row->part, n.part);
    BAVN_CHECK(change(tx,
                      "UPDATE corr_thing SET first_us = :f, last_us = :l, mails = :m, recipients = :r, outside = :o, "
                      "subject_hash = :sh, body_hash = :bh, "
                      "part = :p WHERE key = :k",
                      {{"f", row->first_us},
                       {"l", row->last_us},
                       {"m", row->mails},
                       {"r", row->recipients},
                       {"o", row->outside},
                       {"sh", row->subject_hash},
                       {"bh", row->body_hash},
                       {"p", row->part},
                       {"k", key}}));
  }
  for (const auto& [municipality, one] : to) {
    std::string domains;
    for (const auto& d : one.domains) domains += domains.empty() ? d : " " + d;
    BAVN_CHECK(change(
        tx,
        "INSERT INTO corr_reach (thing, municipality, mails, first_us, last_us, parts, domains) "
        "VALUES (:t, :m, :n, :f, :l, 0, :d) ON CONFLICT DO UPDATE SET mails = max(mails, excluded.mails), "
        "first_us = min(first_us, excluded.first_us), last_us = max(last_us, excluded.last_us), "
        "domains = CASE WHEN length(excluded.domains) > length(domains) THEN excluded.domains ELSE domains END",
        {{"t", key}, {"m", municipality}, {"n", one.mails}, {"f", reached_from}, {"l", n.to_us}, {"d", domains}}));
  }
  bool signs = false;
  for (const Sign& s : n.signs) {
    BAVN_TRY(const bool added, add_sign(tx, key, s, report.municipality.value));
    signs |= added;
  }
  BAVN_TRY(const bool earlier, join_earlier_signs(tx, *row));  // of those it reaches only now, too
  signs |= earlier;
  if (is_new) {
    BAVN_TRY(row->campaign, assign(tx, *row, "sender_notice"));
  }
  if (words) BAVN_CHECK(add_links(tx, *row));
  for (const auto& d : n.outside_domains)
    BAVN_CHECK(change(tx,
                      "INSERT OR IGNORE INTO corr_outside (campaign, domain, first_us, told_by, told_us) "
                      "SELECT :c, :d, :f, '', 0 WHERE (SELECT count(*) FROM corr_outside WHERE campaign = :c) < 2000",
                      {{"c", row->campaign}, {"d", d}, {"f", reached_from}}));
  BAVN_CHECK(send_ids(tx, *row, to));
  if (is_new && row->withdrawn == 0)
    BAVN_CHECK(call(tx, report.municipality.value, fmt::format("campaign:{}", row->campaign),
                    "correlate.call.sender_notice", row->campaign));
  if (signs || is_new) BAVN_CHECK(tell_second_signs(tx, *row, to));
  if (signs && !is_new) return after_signs(tx, *row);
  return evaluate(tx, row->campaign);
}

Result<void> Correlator::Inner::take_burst(store::Tx& tx, const Report& report) {
  BAVN_TRY(auto n, read_burst(report.body, tx.now()));
  const auto from = members.of_domain(domain_of(n.sender));
  if (!from)
    return refused_for(Code::bad_input, "no_member_domain",
                       fmt::format("a burst is of a member's mailbox; {} is no member's domain", domain_of(n.sender)));
  if (*from == report.municipality)
    return refused_for(Code::forbidden, "own_sender",
                       "a burst is told by a receiver, not by the sender's municipality");
  if (n.part < 1 || n.part > options.parts_per_notice)
    return refused_for(n.part < 1 ? Code::bad_input : Code::forbidden, n.part < 1 ? "bad_number" : "flood",
                       fmt::format("a burst has parts 1 to {}", options.parts_per_notice));
  const std::string key = fmt::format("burst:{}.{}", report.municipality.value, n.id);
  BAVN_TRY(auto row, thing(tx, key));
  if (row && row->sender != n.sender) return refused_for(Code::bad_input, "changed_sender", "a burst keeps its sender");
  if (row && n.part < row->part) return {};  // an older word
  const bool is_new = !row;
  const std::int64_t now = micros(tx.now());
  bool grew = false;
  if (is_new) {
    BAVN_CHECK(within_rate(report, "notices", options.notices_per_hour));
    row = thing_of(key, "burst", report, *from, n, now);
    BAVN_CHECK(insert_thing(tx, *row));
    grew = true;
  } else if (n.part > row->part) {
    grew = true;
    row->first_us = std::min(row->first_us, n.from_us);
    row->last_us = std::max(row->last_us, n.to_us);
    row->mails = std::max(row->mails, n.mails);
    row->recipients = std::max(row->recipients, n.recipients);
    row->part = n.part;
    BAVN_CHECK(change(
        tx, "UPDATE corr_thing SET first_us = :f, last_us = :l, mails = :m, recipients = :r, part = :p WHERE key = :k",
        {{"f", row->first_us},
         {"l", row->last_us},
         {"m", row->mails},
         {"r", row->recipients},
         {"p", row->part},
         {"k", key}}));
  }
  if (grew)
    BAVN_CHECK(change(
        tx,
        "INSERT INTO corr_reach (thing, municipality, mails, first_us, last_us, parts, domains) "
        "VALUES (:t, :m, :n, :f, :l, 0, '') ON CONFLICT DO UPDATE SET mails = excluded.mails, "
        "first_us = min(first_us, excluded.first_us), last_us = max(last_us, excluded.last_us)",
        {{"t", key}, {"m", report.municipality.value}, {"n", row->mails}, {"f", row->first_us}, {"l", row->last_us}}));
  bool signs = false;
  for (const Sign& s : n.signs) {
    BAVN_TRY(const bool added, add_sign(tx, key, s, report.municipality.value));
    signs |= added;
  }
  if (!grew && !signs) return {};
  if (is_new) {
    BAVN_TRY(const bool earlier, join_earlier_signs(tx, *row));
    signs |= earlier;
    BAVN_TRY(row->campaign, assign(tx, *row, "burst"));
    if (row->campaign == 0) return {};
  }
  if (signs) return after_signs(tx, *row);
  return evaluate(tx, row->campaign);
}

Result<void> Correlator::Inner::take_takeover(store::Tx& tx, const Report& report) {
  BAVN_TRY(auto n, read_takeover(report.body, tx.now()));
  std::string steps;  // kinds, for people
  for (const Sign& s : n.steps)
    if (!steps.contains(s.kind) && steps.size() + s.kind.size() < 200) steps += (steps.empty() ? "" : ", ") + s.kind;
  if (members.of_domain(domain_of(n.account)) != report.municipality)
    return refused_for(Code::forbidden, "foreign_account",
                       fmt::format("municipality {} told of an account at {}, which is not its own",
                                   report.municipality.value, domain_of(n.account)));
  BAVN_TRY(const auto before, tx.one<TakeoverBefore>("SELECT account, level, part, first_us FROM corr_takeover "
                                                     "WHERE municipality = :m AND id = :i",
                                                     {{"m", report.municipality.value}, {"i", n.id}}));
  if (before && before->account != n.account)
    return refused_for(Code::bad_input, "changed_sender", "a takeover keeps its account");
  if (before && before->part >= n.part) return {};
  if (!before) BAVN_CHECK(within_rate(report, "notices", options.notices_per_hour));
  if (before && takeover_level(before->level) > takeover_level(n.level)) n.level = before->level;
  if (before) n.first_us = std::min(n.first_us, before->first_us);
  BAVN_CHECK(change(
      tx,
      "INSERT INTO corr_takeover (municipality, id, account, part, first_us, noticed_us, received_us, "
      "level, steps, source, late_s) VALUES (:m, :i, :a, :p, :f, :n, :r, :l, :w, :s, :t) ON CONFLICT DO UPDATE SET "
      "part = excluded.part, first_us = excluded.first_us, noticed_us = excluded.noticed_us, "
      "level = excluded.level, steps = excluded.steps",
      {{"m", report.municipality.value},
       {"i", n.id},
       {"a", n.account},
       {"p", n.part},
       {"f", n.first_us},
       {"n", n.noticed_us},
       {"r", tx.now()},
       {"l", n.level},
       {"w", steps},
       {"s", n.source},
       {"t", n.late_s}}));
  const std::int64_t window = std::chrono::microseconds(options.takeover_window).count();
  BAVN_TRY(auto things,
           things_of_sender(tx, n.account, n.first_us - window, std::max(n.first_us, n.noticed_us) + window));
  std::int64_t campaign = 0;
  for (auto& t : things) {
    BAVN_TRY(const bool added, add_takeover(tx, t.key, report.municipality.value, n.level, n.noticed_us, steps));
    if (t.withdrawn == 0) campaign = t.campaign;
    if (added) BAVN_CHECK(after_signs(tx, t));
  }
  if (takeover_level(n.level) >= 1)
    return call(tx, report.municipality.value,
                campaign != 0 ? fmt::format("campaign:{}", campaign)
                              : fmt::format("takeover:{}.{}", report.municipality.value, n.id),
                "correlate.call.takeover", campaign);
  return {};
}

Result<void> Correlator::Inner::take_harm(store::Tx& tx, const Report& report) {
  BAVN_TRY(auto n, read_harm(report.body, tx.now()));
  BAVN_CHECK(within_rate(report, "signs of harm", options.harms_per_hour));
  const std::int64_t of = report.municipality.value;
  if (n.notice) {
    const std::string key = n.notice->starts_with("notice:") ? *n.notice : "notice:" + *n.notice;
    BAVN_TRY(auto row, thing(tx, key));
    if (!row) return refused_for(Code::bad_input, "no_such_notice", "the notice that this is about is not known here");
    BAVN_TRY(const auto reached, tx.number("SELECT count(*) FROM corr_reach WHERE thing = :t AND municipality = :m",
                                           {{"t", key}, {"m", of}}));
    if (reached == 0 && row->municipality != of)
      return refused_for(Code::forbidden, "not_theirs", "a sign about a notice comes from its sender or its receivers");
    BAVN_TRY(const bool added, add_sign(tx, key, n.sign, of, n.id, n.count));
    return added ? after_signs(tx, *row) : Result<void>{};
  }
  if (n.digest) {
    if (digests == nullptr) return refused_for(Code::bad_input, "no_digests", "this hub takes no digests");
    BAVN_TRY(const auto group, digests->group_of(tx, *n.digest));
    if (!group) {
      // Reports of more worth overtake digests on their way: it waits for its digest.
      if (n.digest->size() != 32 || n.digest->find_first_not_of("0123456789abcdef") != std::string::npos)
        return refused_for(Code::bad_input, "no_such_digest", "the digest that this is about is no digest");
      BAVN_TRY([[maybe_unused]] const bool kept, add_sign(tx, "digest:" + *n.digest, n.sign, of, n.id, n.count));
      return {};
    }
    const std::string key = "group:" + group->id;
    BAVN_TRY(const bool added, add_sign(tx, key, n.sign, of, n.id, n.count));
    if (!added) return {};
    BAVN_TRY(auto row, thing(tx, key));
    return row ? after_signs(tx, *row) : take_group(tx, *group);
  }
  if (!members.of_domain(domain_of(*n.sender)))
    return refused_for(
        Code::bad_input, "no_member_domain",
        fmt::format("a sign names a sender only of a member; {} is no member's domain", domain_of(*n.sender)));
  BAVN_TRY(const bool added, add_sign(tx, "sender:" + *n.sender, n.sign, of, n.id, n.count));
  if (!added) return {};
  const std::int64_t window = std::chrono::microseconds(options.harm_window).count();
  BAVN_TRY(auto things, things_of_sender(tx, *n.sender, n.sign.at_us - window, n.sign.at_us + window));
  // Once for the campaign, however many notices it has of this sender: counts of people would multiply.
  std::set<std::int64_t> done;
  for (auto& t : things) {
    if (t.kind == "notice" && t.municipality != of) {
      // A notice names every member it went to: who is not among them can say nothing of it.
      BAVN_TRY(const auto reached, tx.number("SELECT count(*) FROM corr_reach WHERE thing = :t AND municipality = :m",
                                             {{"t", t.key}, {"m", of}}));
      if (reached == 0) continue;
    }
    if (!done.insert(t.campaign).second) continue;
    BAVN_TRY(const bool more, add_sign(tx, t.key, n.sign, of, n.id, n.count));
    if (more) BAVN_CHECK(after_signs(tx, t));
  }
  return {};
}

/// Signs that came before their digest did.
Result<void> Correlator::Inner::join_waiting_harm(store::Tx& tx) {
  BAVN_TRY(const auto waiting, tx.all<std::string>("SELECT thing FROM corr_sign WHERE thing >= 'digest:' AND thing < "
                                                   "'digest;' GROUP BY thing ORDER BY max(at_us) DESC LIMIT 50"));
  for (const auto& thing_of_digest : waiting) {
    BAVN_TRY(const auto group, digests->group_of(tx, thing_of_digest.substr(7)));
    if (!group) continue;
    const std::string key = "group:" + group->id;
    BAVN_CHECK(change(tx,
                      "INSERT OR IGNORE INTO corr_sign (thing, grp, kind, municipality, ref, at_us, count, detail) "
                      "SELECT :k, grp, kind, municipality, ref, at_us, count, detail FROM corr_sign WHERE thing = :t",
                      {{"k", key}, {"t", thing_of_digest}}));
    BAVN_CHECK(change(tx, "DELETE FROM corr_sign WHERE thing = :t", {{"t", thing_of_digest}}));
    BAVN_TRY(auto row, thing(tx, key));
    BAVN_CHECK(row ? after_signs(tx, *row) : take_group(tx, *group));
  }
  return {};
}

Result<void> Correlator::Inner::take_digests(store::Tx& tx, const Report& report) {
  if (digests == nullptr) return refused_for(Code::bad_input, "no_digests", "this hub takes no digests");
  BAVN_TRY(const auto groups, digests->take(tx, report));
  for (const auto& g : groups) BAVN_CHECK(take_group(tx, g));
  return join_waiting_harm(tx);
}

}  // namespace bavn::correlate
