#include "exchange/peers/judge.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "match/indicators/base.hpp"
#include "match/indicators/stix_pattern.hpp"

namespace bavn::exchange {

namespace {

namespace mi = match::indicators;

constexpr Setting kSettings[] = {
    {"exchange.inside",
     Unit::none,
     std::string_view(""),
     {0, 2000},
     "Hosts inside the network, with commas, that partners' machines may be; all other addresses inside are refused, "
     "so that no partner and no feed can make the hub ask its own network.",
     Restart::yes},
    {"exchange.narrowest_published",
     Unit::none,
     std::string_view("amber"),
     {3, 13},
     "The narrowest TLP that becomes indicators of the municipalities: amber may go to an organisation's own clients, "
     "amber+strict and red may not.",
     Restart::yes},
    {"exchange.clock_slack",
     Unit::minutes,
     std::int64_t{60},
     {1, 1440},
     "How far ahead a partner's clock may be before an indicator's beginning is taken as now.",
     Restart::yes},
    {"exchange.longest_pause",
     Unit::hours,
     std::int64_t{6},
     {1, 24},
     "The longest pause between two tries of a partner that does not answer; it begins with a minute and doubles.",
     Restart::yes},
    {"exchange.dropped_kept",
     Unit::none,
     std::int64_t{10'000},
     {100, 1'000'000},
     "Dropped objects of a partner that are kept one by one; how many there were for each reason is always exact.",
     Restart::yes},
    {"exchange.largest_answer",
     Unit::bytes,
     std::int64_t{256} << 20,
     {1 << 20, std::int64_t{1} << 30},
     "The largest answer of a partner's machine that is read: an event of 200,000 attributes has about 120 MB.",
     Restart::yes},
    {"exchange.bulletin_days",
     Unit::days,
     std::int64_t{90},
     {1, 730},
     "How long the indicators of a bulletin hold after they were published.",
     Restart::yes},
    {"exchange.at_once",
     Unit::none,
     std::int64_t{2},
     {1, 16},
     "Partners that are asked side by side: each may hold its largest answer in memory.",
     Restart::yes},
};

constexpr std::size_t kLongestValue = 4'000, kLongestPattern = 65'536, kLongestComment = 500, kLongestSource = 200;

}  // namespace

std::span<const Setting> exchange_settings() {
  return kSettings;
}

Result<Limits> Limits::from(const Settings* settings) {
  static_assert(std::size(kSettings) == 8, "read the new one below");
  const Settings own = Settings::defaults(kSettings);
  const Settings& s = settings != nullptr ? *settings : own;
  Limits l;
  const auto narrowest = event::parse_tlp(s.text("exchange.narrowest_published"));
  if (!narrowest)
    return fail(Code::bad_input, "exchange.narrowest_published is clear, green, amber, amber+strict or red",
                s.text("exchange.narrowest_published"));
  l.narrowest = *narrowest;
  l.clock_slack = s.duration("exchange.clock_slack");
  l.longest_pause = s.duration("exchange.longest_pause");
  l.dropped_kept = s.integer("exchange.dropped_kept");
  l.largest_answer = static_cast<std::size_t>(s.integer("exchange.largest_answer"));
  l.bulletins = s.duration("exchange.bulletin_days");
  l.at_once = static_cast<unsigned>(s.integer("exchange.at_once"));
  for (const std::string_view each : split(s.text("exchange.inside"), ','))
    if (const auto host = trim(each); !host.empty()) l.inside.push_back(to_lower(host));
  return l;
}

net::EgressPolicy exchange_egress(const Limits& limits) {
  net::EgressPolicy policy;
  policy.ports = {};  // partners run MISP and TAXII on any port; the addresses are what counts
  policy.inside = limits.inside;
  return policy;
}

std::string source_of(const Peer& peer, std::string_view source) {
  const std::string_view s = trim(source);
  if (s.empty() || s == peer.name) return peer.name;
  const std::string own = peer.name + ": ";
  const std::string whole = s.starts_with(own) ? std::string(s) : own + std::string(s);
  return repair_utf8(std::string_view(whole).substr(0, kLongestSource));
}

std::string closed_source(std::string_view source) {
  constexpr std::string_view kClosed = " (closed)";
  const std::string_view s = trim(source);
  if (s.empty()) return std::string(kClosed.substr(1));
  return repair_utf8(s.substr(0, kLongestSource / 2)) + std::string(kClosed);
}

void note_dropped(Taken& taken, std::string_view what, std::string_view object, std::string_view reason,
                  bool is_dropped) {
  ++(is_dropped ? taken.dropped : taken.demoted);
  ++taken.reasons[std::string(reason)];
  if (taken.list.size() < kMostListed)
    taken.list.push_back({std::string(what.substr(0, 40)), repair_utf8(object.substr(0, 300)), std::string(reason)});
}

Judged judge(const Peer& peer, std::vector<Delivered> delivered, Instant now, const Limits& limits,
             const NeverBlocked& never_blocked) {
  Judged out;
  mi::IndicatorBuilder looks_right;
  const Instant longest = now + std::chrono::hours(24) * peer.valid_days;
  for (Delivered& d : delivered) {
    mi::Indicator& i = d.indicator;
    const auto drop = [&](std::string_view reason) {
      note_dropped(out.taken, "indicator", d.object.empty() ? i.value : d.object, reason);
    };
    if (i.tlp > limits.narrowest) {
      drop("its TLP is narrower than what may go to the municipalities");
      continue;
    }
    if (i.valid_until != Instant{} && i.valid_until <= now) {
      drop("it ended before it came");
      continue;
    }
    if (i.value.empty() || i.value.size() > (i.is_pattern() ? kLongestPattern : kLongestValue)) {
      drop("its value is empty or too long");
      continue;
    }
    i.source = source_of(peer, i.source);
    if (d.closed) out.closed.insert(i.source);
    i.comment = repair_utf8(std::string_view(i.comment).substr(0, kLongestComment));
    i.confidence = std::min<std::uint8_t>(i.confidence, 100);
    if (i.valid_until == Instant{} || i.valid_until > longest) i.valid_until = longest;
    i.action = std::min(i.action, peer.strongest);
    // A clock that runs ahead must not hold back what may be needed now.
    const bool ahead = i.valid_from > now + limits.clock_slack;
    if (ahead) i.valid_from = now;
    if (!looks_right.add(i)) {
      drop("it is nothing that can be looked for");
      continue;
    }
    const auto remark = [&](const std::string& what) {
      ++out.taken.reasons[what];
      if (out.taken.list.size() < kMostListed)
        out.taken.list.push_back(
            {"indicator", repair_utf8(std::string_view(d.object.empty() ? i.value : d.object).substr(0, 300)), what});
    };
    if (ahead) remark("it begins in the future by the partner's clock: taken as of now");
    if (i.is_pattern())
      if (const auto parsed = mi::StixPattern::parse(i.value); parsed && !parsed->not_evaluated().empty())
        remark("its pattern is kept and not looked for: " + parsed->not_evaluated());
    if (i.action > mi::Action::watch && !i.is_pattern() && never_blocked)
      if (const auto why = never_blocked({i.kind, i.value})) {
        i.action = mi::Action::watch;
        note_dropped(out.taken, "indicator", fmt::format("{} ({})", d.object.empty() ? i.value : d.object, *why),
                     "it may never be blocked: watched for only", false);
      }
    out.publish.push_back(std::move(i));
  }
  out.taken.published = out.publish.size();
  return out;
}

}  // namespace bavn::exchange
