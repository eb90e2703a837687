#include "act/purge_graph.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "event/observable.hpp"
#include "net/http.hpp"
#include "net/json_value.hpp"

namespace bavn::act {
namespace {

using net::percent_encoded;

constexpr std::size_t kMostMails = 50;   // of one Message-ID in one mailbox; more are found at the next round
constexpr std::size_t kLongestId = 998;  // RFC 5322: a line
constexpr std::size_t kLongestItem = 1024;

std::string odata_quoted(std::string_view s) {
  std::string out = "'";
  for (const char c : s) {
    out += c;
    if (c == '\'') out += '\'';
  }
  return out + "'";
}

std::string mailbox_path(std::string_view mailbox) {
  return "/v1.0/users/" + percent_encoded(mailbox);
}

std::string search(std::string_view message_id, std::string_view more) {
  return fmt::format("/messages?$filter={}&$select=id,parentFolderId,internetMessageId,sender,from{}&$top={}",
                     percent_encoded("internetMessageId eq " + odata_quoted("<" + std::string(message_id) + ">")), more,
                     kMostMails);
}

Result<net::JsonDocument> answer(std::string_view body) {
  auto document = net::JsonDocument::parse(body);
  if (!document) return fail(Code::bad_input, "the answer cannot be read: " + document.error().what);
  if (!document->root().is_object()) return fail(Code::bad_input, "the answer is no object");
  return document;
}

/// Message-IDs in a header's value.
void ids_in(std::string_view text, std::vector<std::string>& out) {
  for (std::size_t at = text.find('<'); at != text.npos && out.size() < 100; at = text.find('<', at + 1)) {
    const auto end = text.find('>', at);
    if (end == text.npos) return;
    if (auto id = plain_message_id(text.substr(at, end - at + 1))) out.push_back(std::move(*id));
  }
}

}  // namespace

Result<std::string> plain_message_id(std::string_view text) {
  text = trim(text);
  if (text.starts_with('<') && text.ends_with('>') && text.size() >= 2) text = text.substr(1, text.size() - 2);
  const bool clean = std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != 0x7F && c != '<' && c != '>';
  });
  if (text.empty() || text.size() > kLongestId || !clean) return fail(Code::bad_input, "this is no Message-ID");
  return std::string(text);
}

std::string canonical_address(std::string_view text) {
  if (text.size() > 320) return {};
  const auto address = event::canonical(event::Kind::email, text);
  return address && address->kind == event::Kind::email ? address->value : std::string();
}

std::string domain_of(std::string_view address) {
  const auto at = address.rfind('@');
  return at == address.npos ? std::string() : std::string(address.substr(at + 1));
}

GraphCall find_mail(std::string_view mailbox, std::string_view message_id, bool with_headers) {
  return {.mailbox = std::string(mailbox),
          .path = mailbox_path(mailbox) + search(message_id, with_headers ? ",internetMessageHeaders" : ""),
          .body = {},
          .permission = "Mail.ReadWrite"};
}

GraphCall find_recoverable(std::string_view mailbox, std::string_view message_id) {
  return {.mailbox = std::string(mailbox),
          .path = fmt::format("{}/mailFolders/{}{}", mailbox_path(mailbox), kRecoverable, search(message_id, "")),
          .body = {},
          .permission = "Mail.ReadWrite"};
}

GraphCall move_mail(std::string_view mailbox, std::string_view item, std::string_view folder) {
  GraphCall call{.mailbox = std::string(mailbox),
                 .post = true,
                 .path = fmt::format("{}/messages/{}/move", mailbox_path(mailbox), percent_encoded(item)),
                 .body = {},
                 .permission = "Mail.ReadWrite"};
  JsonWriter(call.body).object().member("destinationId", folder).end();
  return call;
}

GraphCall remediate(std::span<const NamedMail> mails, std::string_view action, std::string_view notice) {
  GraphCall call{.mailbox = mails.empty() ? std::string() : mails.front().mailbox,
                 .post = true,
                 .path = "/v1.0/security/collaboration/analyzedEmails/remediate",
                 .body = {},
                 .permission = "SecurityAnalyzedMessage.ReadWrite.All",
                 .security = true};
  JsonWriter w(call.body);
  w.object()
      .member("displayName", fmt::format("Bavn {}", notice))
      .member("description", action == "softDelete" ? "Mail of a taken account, by the municipality's mandate"
                                                    : "Taken back: it was no attack")
      .member("severity", "high")
      .member("action", action)
      .member("remediateSendersCopy", "false")  // text in Microsoft's own example
      .key("analyzedEmails")
      .array();
  for (const auto& mail : mails)
    w.object().member("networkMessageId", mail.network_id).member("recipientEmailAddress", mail.mailbox).end();
  w.end().end();
  return call;
}

GraphCall where_is(const NamedMail& mail, Instant delivered) {
  const auto day = [](Instant t) { return format_time(std::chrono::floor<std::chrono::seconds>(t)); };
  return {.mailbox = mail.mailbox,
          .path = fmt::format("/beta/security/collaboration/analyzedEmails?startTime={}&endTime={}&$filter={}",
                              percent_encoded(day(delivered - std::chrono::hours(24))),
                              percent_encoded(day(delivered + std::chrono::hours(24))),
                              percent_encoded(fmt::format("networkMessageId eq {} and recipientEmailAddress eq {}",
                                                          odata_quoted(mail.network_id), odata_quoted(mail.mailbox)))),
          .body = {},
          .permission = "SecurityAnalyzedMessage.ReadWrite.All",
          .security = true};
}

Result<std::vector<FoundMail>> read_mails(std::string_view body, std::string_view message_id) {
  BAVN_TRY(const auto document, answer(body));
  const auto value = document.root()["value"];
  if (!value.is_array()) return fail(Code::bad_input, "the answer has no list of mails");
  std::vector<FoundMail> out;
  for (const net::JsonValue m : value) {
    const auto id = plain_message_id(m["internetMessageId"].text_or(""));
    const auto item = m["id"].text_or(""), folder = m["parentFolderId"].text_or("");
    if (!id || *id != message_id) continue;
    if (item.empty() || item.size() > kLongestItem || folder.size() > kLongestItem)
      return fail(Code::bad_input, "a mail of the answer has no id");
    FoundMail mail{.item = std::string(item), .folder = std::string(folder), .sender = {}, .answers = {}};
    for (const auto* who : {"sender", "from"})
      if (mail.sender.empty()) mail.sender = canonical_address(m[who]["emailAddress"]["address"].text_or(""));
    for (const net::JsonValue h : m["internetMessageHeaders"]) {
      const auto name = to_lower(h["name"].text_or("").substr(0, 40));
      if (name == "in-reply-to" || name == "references") ids_in(h["value"].text_or(""), mail.answers);
    }
    out.push_back(std::move(mail));
    if (out.size() == kMostMails) break;
  }
  return out;
}

Result<std::string> read_moved(std::string_view body) {
  BAVN_TRY(const auto document, answer(body));
  const auto item = document.root()["id"].text_or("");
  if (item.empty() || item.size() > kLongestItem) return fail(Code::bad_input, "the answer does not say where it is");
  return std::string(item);
}

Result<std::string> read_place(std::string_view body, const NamedMail& mail) {
  BAVN_TRY(const auto document, answer(body));
  const auto value = document.root()["value"];
  if (!value.is_array()) return fail(Code::bad_input, "the answer has no list of mails");
  for (const net::JsonValue m : value) {
    std::string recipient = canonical_address(m["recipientEmailAddress"].text_or(""));
    for (const net::JsonValue r : m["recipientEmailAddresses"])
      if (recipient.empty()) recipient = canonical_address(r.text_or(""));
    if (to_lower(m["networkMessageId"].text_or("")) != to_lower(mail.network_id) || recipient != mail.mailbox) continue;
    return std::string(m["latestDelivery"]["location"].text_or("unknown").substr(0, 40));
  }
  return std::string();
}

bool needs_recoverable(std::span<const CopyRow> rows, std::span<const FoundMail> present) {
  bool restored = false, open = false;
  std::size_t want = 0;
  for (const auto& r : rows) {
    restored = restored || r.state == "moved";
    const bool there =
        std::any_of(present.begin(), present.end(), [&](const FoundMail& m) { return m.item == r.item; });
    if (r.state == "moving" && !there) open = true;
    if (r.state == "found" || r.state == "failed") ++want;
  }
  return open || want > present.size() || (restored && !present.empty());
}

Matching match(std::span<const CopyRow> rows, std::span<const FoundMail> present,
               std::span<const FoundMail> recoverable) {
  Matching out;
  std::vector<bool> taken(present.size(), false), held(recoverable.size(), false);
  std::set<std::int64_t> settled;
  const auto index_of = [](std::span<const FoundMail> mails, const std::string& item) {
    const auto at = std::find_if(mails.begin(), mails.end(), [&](const FoundMail& m) { return m.item == item; });
    return static_cast<std::size_t>(at - mails.begin());
  };
  // What a row names by its id is that row's.
  for (const auto& r : rows) {
    if (r.item.empty()) continue;
    if (r.state == "moving")
      if (const auto i = index_of(present, r.item); i < present.size() && !taken[i]) {
        taken[i] = true;
        settled.insert(r.id);
        out.move.push_back({r.id, i});
      }
    if (r.state == "moved")
      if (const auto i = index_of(recoverable, r.item); i < recoverable.size()) held[i] = true;
  }
  // The rest of what is there goes to rows that wait for a mail, then to a row whose mail was taken back by its owner.
  const auto next_row = [&]() -> const CopyRow* {
    for (const auto* state : {"found", "failed", "moving", "gone", "back", "lost"})
      for (const auto& r : rows)
        if (r.state == state && !settled.contains(r.id)) return &r;
    for (const auto& r : rows)
      if (r.state == "moved" && !settled.contains(r.id) && index_of(recoverable, r.item) == recoverable.size())
        return &r;
    return nullptr;
  };
  for (std::size_t i = 0; i < present.size(); ++i) {
    if (taken[i]) continue;
    const auto* row = next_row();
    if (row != nullptr) settled.insert(row->id);
    out.move.push_back({row == nullptr ? 0 : row->id, i});
  }
  for (const auto& r : rows) {
    if (settled.contains(r.id)) continue;
    if (r.state == "moving") {
      const auto free = static_cast<std::size_t>(std::find(held.begin(), held.end(), false) - held.begin());
      if (free < held.size()) {
        held[free] = true;
        out.moved.push_back({r.id, free});
      } else {
        out.absent.push_back(r.id);
      }
    } else if (r.state == "found" || r.state == "failed") {
      out.absent.push_back(r.id);
    } else {
      out.as_thought.push_back(r.id);
    }
  }
  return out;
}

}  // namespace bavn::act
