#include "app/simulate/mailboxes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "net/http.hpp"

namespace bavn::app::simulate {

namespace {

constexpr Duration kGraphTakes = std::chrono::milliseconds(400);
constexpr Duration kTraceTakes = std::chrono::milliseconds(300);
constexpr Duration kRemembered = std::chrono::hours(72);
constexpr std::string_view kRecoverableFolder = "recoverableitemsdeletions";

std::string decoded(std::string_view s) {
  std::string out;
  for (std::size_t i = 0; i < s.size(); ++i) {
    unsigned byte = 0;
    if (s[i] == '%' && i + 2 < s.size() &&
        std::from_chars(s.data() + i + 1, s.data() + i + 3, byte, 16).ec == std::errc{}) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += s[i];
    }
  }
  return out;
}

std::string between(std::string_view text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  if (at == std::string_view::npos) return {};
  const auto rest = text.substr(at + from.size());
  return std::string(rest.substr(0, rest.find(to)));
}

}  // namespace

Mailboxes::Mailboxes(Runtime& runtime, Traffic& traffic, const Towns& towns)
    : runtime_(runtime),
      traffic_(traffic),
      towns_(towns),
      queue_(runtime.queue({.name = "graph", .limit = 1'000'000})),
      trace_(towns.size()) {}

void Mailboxes::traced(std::size_t town, const event::MailFact& mail) {
  if (mail.head.source != event::FactSource::message_trace && mail.head.source != event::FactSource::mail_copy) return;
  // Only mail of members' mailboxes is ever purged by a sender notice; the rest need not be kept.
  if (towns_.of_domain(std::string_view(mail.sender).substr(mail.sender.find('@') + 1)) == Towns::kNone) return;
  while (!order_.empty()) {
    const auto& [of, id] = order_.front();
    const auto old = trace_[of].find(id);
    if (old != trace_[of].end() && old->second.at > runtime_.now() - kRemembered) break;
    if (old != trace_[of].end() && traffic_.copies_of(id) == nullptr) trace_[of].erase(old);
    order_.pop_front();
  }
  const std::string& own = towns_[town].domain;
  auto [at, fresh] = trace_[town].try_emplace(mail.message_id);
  Traced& t = at->second;
  // A second log tells of the same mail; large ones came whole the first time.
  if (!fresh && t.mailboxes.size() > 50) return;
  if (fresh) {
    t.at = mail.head.happened;
    t.sender = mail.sender;
    order_.emplace_back(town, mail.message_id);
  }
  for (const auto& r : mail.recipients)
    if (r.ends_with(own) && (fresh || std::find(t.mailboxes.begin(), t.mailboxes.end(), r) == t.mailboxes.end()))
      t.mailboxes.push_back(r);
}

std::size_t Mailboxes::item_of(std::size_t town, const std::string& mailbox, const std::string& message_id,
                               const std::string& sender) {
  auto& items = by_place_[mailbox + " " + message_id];
  if (items.empty()) {
    Item item{town, mailbox, message_id, sender, SIZE_MAX, false};
    if (const auto* copies = traffic_.copies_of(message_id))
      for (const auto c : *copies)
        if (traffic_.copies()[c].recipient == mailbox) item.copy = c;
    items.push_back(items_.size());
    items_.push_back(std::move(item));
  }
  return items.front();
}

act::PurgeWays Mailboxes::ways(std::size_t town, act::AskDuty ask_duty) {
  act::PurgeWays w;
  w.ask = [this, town](act::GraphCall call, std::move_only_function<void(act::GraphReply)> then) {
    runtime_.after(kGraphTakes, queue_, [this, town, call = std::move(call), then = std::move(then)]() mutable {
      then(answer(town, call));
    });
  };
  w.locate = [this, town](act::LocateAsk ask, std::move_only_function<void(Result<act::Located>)> then) {
    runtime_.after(kTraceTakes, queue_, [this, town, ask = std::move(ask), then = std::move(then)]() mutable {
      located(town, ask, std::move(then));
    });
  };
  w.ask_duty = std::move(ask_duty);
  return w;
}

void Mailboxes::located(std::size_t town, const act::LocateAsk& ask,
                        std::move_only_function<void(Result<act::Located>)> then) {
  act::Located out;
  for (const auto& id : ask.message_ids) {
    const auto found = trace_[town].find(id);
    if (found == trace_[town].end()) continue;
    if (found->second.at < ask.from || found->second.at > ask.to) continue;
    for (const auto& mailbox : found->second.mailboxes) {
      (void)item_of(town, mailbox, id, found->second.sender);
      out.places.push_back({.mailbox = mailbox,
                            .message_id = id,
                            .sender = found->second.sender,
                            .network_id = {},
                            .at = found->second.at,
                            .forward_of = {}});
    }
  }
  then(std::move(out));
}

act::GraphReply Mailboxes::answer(std::size_t town, const act::GraphCall& call) {
  if (call.security)
    return {.status = 403, .body = {}, .code = "UnknownError", .what = "this tenant has no Defender for Office"};
  const std::string path = decoded(call.path);
  const std::string mailbox = between(path, "/users/", "/");
  if (!mailbox.ends_with(towns_[town].domain))
    return {.status = 404, .body = {}, .code = "ErrorInvalidUser", .what = "no such mailbox here"};
  if (call.post) {
    const std::string id = between(path, "/messages/", "/move");
    std::size_t n = items_.size();
    if (id.starts_with("item-")) (void)std::from_chars(id.data() + 5, id.data() + id.size(), n);
    if (n >= items_.size() || items_[n].mailbox != mailbox)
      return {.status = 404, .body = {}, .code = "ErrorItemNotFound", .what = "no such item"};
    Item& item = items_[n];
    const bool away = call.body.find(kRecoverableFolder) != std::string::npos;
    if (item.recoverable != away) {
      item.recoverable = away;
      (away ? moved_ : put_back_) += 1;
      if (item.copy == SIZE_MAX) {
        moved_wrongly_ += away ? 1 : -1;
      } else {
        Copy& c = traffic_.copies()[item.copy];
        if (!c.real) moved_wrongly_ += away ? 1 : -1;
        if (away && c.removed == Instant{}) {
          c.removed = runtime_.now();
          c.by_machine = true;
        } else if (!away) {
          c.removed = {};
          c.by_machine = false;
        }
      }
    }
    act::GraphReply reply{.status = 201, .body = {}, .code = {}, .what = {}};
    JsonWriter(reply.body).object().member("id", id).end();
    return reply;
  }
  const std::string wanted = between(path, "internetMessageId eq '<", ">'");
  const bool recoverable = path.find(kRecoverableFolder) != std::string::npos;
  act::GraphReply reply{.status = 200, .body = {}, .code = {}, .what = {}};
  JsonWriter w(reply.body);
  w.object().key("value").array();
  if (const auto found = by_place_.find(mailbox + " " + wanted); found != by_place_.end())
    for (const std::size_t n : found->second) {
      const Item& item = items_[n];
      // What people threw away themselves is nowhere.
      if (item.copy != SIZE_MAX && traffic_.copies()[item.copy].removed != Instant{} &&
          !traffic_.copies()[item.copy].by_machine)
        continue;
      if (item.recoverable != recoverable) continue;
      w.object()
          .member("id", fmt::format("item-{}", n))
          .member("parentFolderId", recoverable ? kRecoverableFolder : "inbox");
      w.member("internetMessageId", "<" + item.message_id + ">");
      w.key("from").object().key("emailAddress").object().member("address", item.sender).end().end().end();
    }
  w.end().end();
  return reply;
}

}  // namespace bavn::app::simulate
