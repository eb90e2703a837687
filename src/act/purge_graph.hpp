#pragma once
// What purge asks of Microsoft Graph, what the answers say, and which mail belongs to which row. Answers are read with distrust: a
// $filter that was silently ignored must not move a mail. Pure functions over text and values; any thread.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "act/purge.hpp"

namespace bavn::act {

constexpr std::string_view kRecoverable = "recoverableitemsdeletions";

/// In every folder but the recoverable ones; with the headers that a forward names its original in when they are wanted.
GraphCall find_mail(std::string_view mailbox, std::string_view message_id, bool with_headers);
GraphCall find_recoverable(std::string_view mailbox, std::string_view message_id);
GraphCall move_mail(std::string_view mailbox, std::string_view item, std::string_view folder);

struct NamedMail {  // as Defender names one
  std::string network_id, mailbox;
};
/// action: softDelete, moveToInbox. At most 100 mails.
GraphCall remediate(std::span<const NamedMail> mails, std::string_view action, std::string_view notice);
GraphCall where_is(const NamedMail& mail, Instant delivered);

struct FoundMail {
  std::string item, folder;
  std::string sender;                // canonical; empty: not said
  std::vector<std::string> answers;  // Message-IDs in In-Reply-To and References
};
/// Mails of an answer to find_mail or find_recoverable; those with another Message-ID than asked for are left out.
Result<std::vector<FoundMail>> read_mails(std::string_view body, std::string_view message_id);
Result<std::string> read_moved(std::string_view body);  // the new item id
/// Of an answer to where_is: "" when the mail is not listed, else Defender's word: inbox_folder, junkFolder, deletedFolder, ...
Result<std::string> read_place(std::string_view body, const NamedMail& mail);

/// "<a@b>" and "a@b" are one; bad_input when it could not be one.
Result<std::string> plain_message_id(std::string_view text);
std::string canonical_address(std::string_view text);  // empty: not one
std::string domain_of(std::string_view address);

// --- which mail is which row ---

struct CopyRow {
  std::int64_t id = 0, nr = 0;
  std::string state, item;
};
struct Matching {
  struct Pair {
    std::int64_t row = 0;  // 0: a new row
    std::size_t mail = 0;  // index into what was present (or recoverable)
  };
  std::vector<Pair> move;                // to be moved away now
  std::vector<Pair> moved;               // are in the recoverable folder: moved by us before we could note it
  std::vector<std::int64_t> absent;      // rows whose mail is nowhere
  std::vector<std::int64_t> as_thought;  // moved or gone, and not there: nothing to do
};
/// Whether the recoverable folder must be looked at before match() can say which is which.
bool needs_recoverable(std::span<const CopyRow> rows, std::span<const FoundMail> present);
/// rows: all of one mailbox and Message-ID.
Matching match(std::span<const CopyRow> rows, std::span<const FoundMail> present,
               std::span<const FoundMail> recoverable);

}  // namespace bavn::act
