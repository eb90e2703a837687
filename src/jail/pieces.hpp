#pragma once
// What a reader of documents makes of one: pieces of text in the order in which a person would read them, in a flat form that both sides of
// the jail know. Thread rules: plain functions; the views live as long as the flat form.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace bavn::jail {

enum class PieceKind : std::uint32_t {
  header = 1,    // of a mail. name: Subject, From, Date, To; text: its value, decoded
  text = 2,      // name: of the attachment it stands in, or empty
  page = 3,      // of a PDF. number of `of`; name: of the attachment, or empty
  left_out = 4,  // an attachment that was not read. number: its bytes; text: its media type, or why not
  mail = 5,      // from here on, until a piece of another name: a mail in the mail. name: of the attachment, or empty
};

struct Piece {
  PieceKind kind = PieceKind::text;
  std::uint64_t number = 0, of = 0;
  std::string_view name{}, text{};
};

/// What all documents are held to.
constexpr std::uint64_t kMaxPages = 1000;
constexpr std::size_t kMaxDocumentText = 4U << 20U;
constexpr std::size_t kMaxPieceName = 300;

/// By these words of an error whoever asked knows what a person can do about it.
constexpr std::string_view kSaysLocked = "read with its password";
constexpr std::string_view kSaysPictures = "only pictures";
constexpr std::string_view kSaysSplit = ": split it";

/// Appends. Names and texts become clean: UTF-8, no control characters but tab and line end, none that nobody sees.
void put_piece(std::string& flat, const Piece& piece);
/// Errors: corrupt, when lengths do not add up, a kind is unknown, or a text is not clean.
Result<std::vector<Piece>> pieces_of(std::string_view flat);

/// Without what hides a word from the eye or from a search: controls, soft hyphens, zero-width and direction marks. Line ends are \n.
std::string clean_text(std::string_view text);

}  // namespace bavn::jail
