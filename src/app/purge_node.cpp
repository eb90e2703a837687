#include "app/purge_node.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "act/purge_graph.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "event/observable.hpp"
#include "hunt/hunt.hpp"
#include "net/json_value.hpp"
#include "notice/fact_reader.hpp"

namespace bavn::app {

namespace {

namespace m365 = input::microsoft365;

constexpr std::uint64_t kMostRecords =
    500'000;                               // of one question: 20,000 mails with all their states and doubles are less
constexpr std::size_t kMostSubjects = 20;  // of one notice; near-same mail has few
constexpr std::string_view kForwarded[] = {"vs: ", "fw: ", "fwd: ", "sv: ", "re: ", "vb: "};

act::GraphReply said(const m365::Trouble& t) {
  act::GraphReply reply;
  reply.what = m365::to_string(t);
  reply.code = t.code;
  // A 5xx, a cut line, a page of a proxy: nobody knows whether it was done. Full mailboxes say 507, and that is an answer.
  const bool known = t.kind == m365::TroubleKind::permission || t.kind == m365::TroubleKind::licence ||
                     t.kind == m365::TroubleKind::refused || t.status == 507;
  reply.status = known ? t.status : 0;
  if (t.kind == m365::TroubleKind::licence) reply.status = 403;
  return reply;
}

/// The trace's own id of the mail, by which Defender knows it.
std::string network_id_of(std::string_view line) {
  if (!line.starts_with('{')) return {};
  const auto document = net::JsonDocument::parse(line);
  if (!document) return {};
  for (const auto* name : {"id", "MessageTraceId", "messageTraceId", "NetworkMessageId"})
    if (const auto text = document->root()[name].text_or(""); !text.empty() && text.size() <= 100)
      return std::string(text);
  return {};
}

struct Mail {
  event::MailFact fact;
  std::string network_id;
};

/// Facts of records that hold one of these.
Result<void> facts_with(live::Pipeline& pipeline, std::span<const event::Observable> wanted, Instant from, Instant to,
                        std::vector<Mail>& mails, std::vector<event::HarmFact>& reports) {
  if (wanted.empty()) return {};
  const auto engine = pipeline.engine();
  std::vector<const event::FactMaps*> formats;
  for (const auto& d : engine->catalogue().all()) formats.push_back(&d.facts);
  notice::FactReader reader(std::make_shared<const notice::FactPlan>(engine->plan(), formats));
  hunt::HuntOptions options;
  options.filter.from_us = micros(from);
  options.filter.until_us = micros(to);
  options.limit = kMostRecords;
  notice::ReadFacts facts;
  std::set<std::pair<std::uint64_t, std::uint32_t>> records;
  BAVN_TRY(
      const auto report,
      hunt::hunt_observables(
          *engine, pipeline.history(), event::Scope::local_owner(), wanted, options, [&](const hunt::RecordHit& hit) {
            const std::uint64_t frame = (std::uint64_t{hit.frame.segment} << 32U) | hit.frame.frame;
            if (hit.batch == nullptr || !records.emplace(frame, hit.record).second) return;
            facts = {};
            event::FactHead head;
            head.received = from_micros(hit.received_us);
            head.municipality = hit.frame.source.municipality;
            head.tenant = hit.frame.source.tenant;
            if (!reader.reads(hit.parsed->format) || !reader.read(*hit.batch, *hit.parsed, head, facts)) return;
            for (auto& item : facts.items) {
              if (auto* mail = std::get_if<event::MailFact>(&item.fact))
                mails.push_back({std::move(*mail), network_id_of(hit.line)});
              if (const auto* harm = std::get_if<event::HarmFact>(&item.fact))
                if (harm->harm == event::Harm::reported) reports.push_back(*harm);
            }
          }));
  if (report.unreadable != 0)
    return fail(Code::corrupt, "a part of the history cannot be read: bavn doctor says which");
  return {};
}

bool arrived(event::Delivery d) {
  return d == event::Delivery::delivered || d == event::Delivery::junk || d == event::Delivery::pending;
}

Result<act::Located> located(live::Pipeline& pipeline, const act::LocateAsk& ask, Instant now) {
  act::Located out;
  std::vector<event::Observable> wanted;
  for (const auto& id : ask.message_ids)
    if (auto o = event::canonical(event::Kind::message_id, id)) wanted.push_back(std::move(*o));
  const Instant from = ask.from - std::chrono::hours(1), to = now + std::chrono::hours(1);
  std::vector<Mail> mails;
  std::vector<event::HarmFact> reports;
  BAVN_CHECK(facts_with(pipeline, wanted, from, to, mails, reports));

  const std::set<std::string> asked(ask.message_ids.begin(), ask.message_ids.end());
  std::map<std::pair<std::string, std::string>, std::string> subject_at;  // (mailbox, subject) -> Message-ID
  std::set<std::string> subjects;
  std::set<std::pair<std::string, std::string>> seen;  // a mail has several states in the trace
  for (const auto& [fact, network] : mails) {
    if (!arrived(fact.delivery) || !asked.contains(fact.message_id)) continue;
    for (const auto& to_whom : fact.recipients) {
      if (fact.sender == ask.sender && !fact.subject.empty()) {
        if (auto subject = event::canonical(event::Kind::subject, fact.subject)) {
          subject_at[{to_whom, subject->value}] = fact.message_id;
          if (subjects.size() < kMostSubjects) subjects.insert(subject->value);
        }
      }
      if (!seen.insert({to_whom, fact.message_id}).second) continue;
      out.places.push_back({to_whom, fact.message_id, fact.sender, network, fact.head.happened, {}, false});
    }
  }
  for (const auto& r : reports)
    if (asked.contains(r.message_id) && !r.account.empty() && seen.insert({r.account, r.message_id}).second)
      out.places.push_back(
          {r.account, r.message_id, r.sender.empty() ? ask.sender : r.sender, {}, r.head.happened, {}, true});

  std::vector<event::Observable> prefixed;
  for (const auto& s : subjects)
    for (const auto prefix : kForwarded)
      if (auto o = event::canonical(event::Kind::subject, std::string(prefix) + s)) prefixed.push_back(std::move(*o));
  mails.clear();
  BAVN_CHECK(facts_with(pipeline, prefixed, ask.from, to, mails, reports));
  for (const auto& [fact, network] : mails) {
    if (!arrived(fact.delivery) || fact.message_id.empty()) continue;
    const auto subject = event::canonical(event::Kind::subject, fact.subject);
    const auto blank = subject ? subject->value.find(": ") : std::string::npos;
    if (blank == std::string::npos) continue;
    const auto original = subject_at.find({fact.sender, subject->value.substr(blank + 2)});
    if (original == subject_at.end()) continue;  // its sender did not get one of these mails
    for (const auto& to_whom : fact.recipients)
      if (seen.insert({to_whom, fact.message_id}).second)
        out.places.push_back(
            {to_whom, fact.message_id, fact.sender, network, fact.head.happened, original->second, false});
  }
  return out;
}

}  // namespace

namespace {

/// Of several tenants with the same domain (a school's beside the town's) one has the mailbox: the next is asked when this one does not.
void ask_one(std::vector<std::shared_ptr<m365::Access>> candidates, act::GraphCall call,
             std::move_only_function<void(act::GraphReply)> then) {
  const auto access = std::move(candidates.front());
  candidates.erase(candidates.begin());
  access->runtime().after(
      Duration{0}, access->queue(),
      [access, candidates = std::move(candidates), call = std::move(call), then = std::move(then)]() mutable {
        m365::Call made;
        made.service = m365::Service::graph;
        made.budget = call.security ? m365::Budget::security : m365::Budget::mail;
        made.method = call.post ? net::Method::post : net::Method::get;
        made.url = access->url(m365::Service::graph, call.path);
        made.body = call.body;
        made.permission = call.permission;
        if (call.security) made.licence = "a Defender plan with remediation";
        made.max_reply = 4U << 20U;
        if (!call.post)  // a page of a proxy in between, or half an answer: asked for again. A move is told by looking.
          made.unusable = [](const net::ClientReply& r) -> std::optional<std::string> {
            const auto document = net::JsonDocument::parse(r.body);
            if (document && document->root()["value"].is_array()) return std::nullopt;
            return "the answer cannot be read";
          };
        access->send(std::move(made), [candidates = std::move(candidates), call = std::move(call),
                                       then = std::move(then)](m365::Answer answer) mutable {
          if (answer) {
            act::GraphReply reply;
            reply.status = answer->status;
            reply.body = std::move(answer->body);
            return then(std::move(reply));
          }
          const auto& t = answer.error();
          const bool nobody =
              t.status == 404 && (t.code == "ErrorInvalidUser" || t.code == "Request_ResourceNotFound" ||
                                  t.code == "MailboxNotEnabledForRESTAPI");
          if (nobody && !candidates.empty()) return ask_one(std::move(candidates), std::move(call), std::move(then));
          then(said(t));
        });
      });
}

}  // namespace

act::Ask graph_ask(std::vector<GraphTenant> tenants) {
  for (auto& t : tenants)
    for (auto& d : t.domains) d = to_lower(d);
  return [tenants = std::move(tenants)](act::GraphCall call, std::move_only_function<void(act::GraphReply)> then) {
    const auto domain = act::domain_of(call.mailbox);
    std::vector<std::shared_ptr<m365::Access>> candidates;
    for (const auto& t : tenants)
      if (std::find(t.domains.begin(), t.domains.end(), domain) != t.domains.end()) candidates.push_back(t.access);
    for (const auto& t : tenants)
      if (t.domains.empty()) candidates.push_back(t.access);
    if (!candidates.empty()) return ask_one(std::move(candidates), std::move(call), std::move(then));
    act::GraphReply reply;
    reply.what = "no Microsoft 365 tenant of this machine has the domain " + domain + ": bavn node setup connects one";
    then(std::move(reply));
  };
}

act::Locate trace_locate(Runtime& runtime, live::Pipeline& pipeline) {
  const auto queue = runtime.queue({.name = "purge-trace", .threads = 1, .limit = 1000});
  return [&runtime, &pipeline, queue](act::LocateAsk ask, std::move_only_function<void(Result<act::Located>)> then) {
    runtime.after(Duration{0}, queue, [&runtime, &pipeline, ask = std::move(ask), then = std::move(then)]() mutable {
      then(located(pipeline, ask, runtime.now()));
    });
  };
}

act::AskDuty purge_question(notify::Notify& notify, MunicipalityId municipality, std::string municipality_name,
                            std::string zone) {
  return [&notify, municipality, name = std::move(municipality_name), zone = std::move(zone)](
             store::Tx& tx, const act::PurgeQuestion& q) -> Result<std::size_t> {
    return notify.ask(tx, {.municipality = municipality,
                           .municipality_name = name,
                           .zone = zone,
                           .notice = q.notice,
                           .sender = q.sender,
                           .code = q.code,
                           .because = q.because,
                           .mailboxes = q.mailboxes,
                           .until = q.until});
  };
}

}  // namespace bavn::app
