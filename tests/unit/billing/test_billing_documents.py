"""Files say what the invoice says, re-add, and are the same bytes each time."""

import csv
import io
import json
import re
import unicodedata
from decimal import Decimal
from pathlib import Path

import pytest
from billing_examples import charge, fee, gain, invoice, many
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from necto_pipelines.billing import documents
from necto_pipelines.billing.documents import CSV_COLUMNS, invoice_csv, invoice_json, invoice_pdf
from necto_pipelines.model.invoice import Invoice

BANNER = "Simulated: sandbox networks, no real money moved"
ODD = 'R $x$ #set page(fill: red) *b* <l> @ref \\u{41} `c` "q", 漢字 שלום 😀 e\u0301 Łódź Αθήνα Москва\r\n\x00\u202eend'


def pages_of(pdf: bytes) -> list[str]:
    """The text of each page without white space and break opportunities: how lines fall is not its content."""
    return [re.sub(r"[\s\u200b]", "", page.extract_text()) for page in PdfReader(io.BytesIO(pdf)).pages]


def rows_of(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


def bare(text: str) -> str:
    return re.sub(r"\s", "", text)


def with_line(**changes: object) -> Invoice:
    issued = invoice()
    return issued.model_copy(update={"lines": (issued.lines[0].model_copy(update=changes), *issued.lines[1:])})


class TestJson:
    def test_it_reads_back_as_the_same_invoice(self) -> None:
        for issued in (invoice(), invoice(*many(9), simulated=False), with_line(description=ODD)):
            assert Invoice.model_validate_json(invoice_json(issued)) == issued

    def test_it_is_canonical_with_money_as_text(self) -> None:
        text = invoice_json(invoice()).decode()
        document = json.loads(text)
        assert text == json.dumps(document, sort_keys=True, separators=(",", ":"))
        assert (document["total_usd"], document["lines"][0]["quantity"]) == ("288.25", "192")
        assert document["issued_at"] == "2026-12-01T08:30:00.000000Z"

    def test_zeros_that_a_store_pads_with_change_no_byte(self) -> None:
        issued = invoice()
        line = issued.lines[0]
        padded = with_line(quantity=line.quantity.quantize(Decimal("1e-9")), amount_usd=Decimal("288.000000"))
        assert invoice_json(padded) == invoice_json(issued)
        assert invoice_csv(padded) == invoice_csv(issued)


class TestCsv:
    def test_its_rows_re_add_to_the_total(self) -> None:
        issued = invoice(*many(25), fee(), gain())
        rows = rows_of(invoice_csv(issued))
        assert len(rows) == len(issued.lines)
        assert sum(Decimal(row["amount_usd"]) for row in rows) == issued.total_usd
        for row, line in zip(rows, issued.lines, strict=True):
            assert Decimal(row["quantity"]) * Decimal(row["unit_price_usd"]) == line.quantity * line.unit_price_usd
            assert (row["lease_id"], row["order_id"], row["cost_centre"]) == (
                line.lease_id,
                line.order_id,
                line.cost_centre,
            )

    def test_it_has_a_header_crlf_and_one_physical_row_for_each_line(self) -> None:
        text = invoice_csv(with_line(description='two\r\nrows, "quoted"\u2028and more')).decode()
        rows = text.split("\r\n")
        assert rows[0].split(",") == list(CSV_COLUMNS)
        assert len(rows) == 1 + 3 + 1
        assert not rows[-1]
        assert "\n" not in "".join(rows)
        assert rows_of(text.encode())[0]["description"] == 'two  rows, "quoted" and more'

    @pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", " =", "\r=", "＝", "\u00a0="])
    @pytest.mark.parametrize("field", ["network", "resource", "description", "unit", "lease_id", "cost_centre"])
    def test_a_text_that_a_spreadsheet_would_run_is_disarmed(self, field: str, start: str) -> None:
        cell = rows_of(invoice_csv(with_line(**{field: f"{start}HYPERLINK(A1)"})))[0][field]
        assert cell.startswith("'")
        assert cell.endswith("HYPERLINK(A1)")

    def test_a_credit_stays_a_number(self) -> None:
        assert rows_of(invoice_csv(invoice()))[2]["amount_usd"] == "-0.04"

    @pytest.mark.parametrize("simulated", [True, False])
    def test_each_row_says_whether_it_is_simulated(self, simulated: bool) -> None:
        rows = rows_of(invoice_csv(invoice(simulated=simulated)))
        assert {row["simulated"] for row in rows} == {str(simulated).lower()}


class TestPdf:
    def test_it_shows_the_number_the_total_and_every_line(self) -> None:
        issued = invoice(*many(60), fee(), gain(), simulated=False)
        text = "".join(pages_of(invoice_pdf(issued)))
        assert bare(f"USD {issued.total_usd:,.2f}") in text
        for part in (issued.number, issued.tenant, "2026-12-31", "2026-11", "Net 30 days", "line-half-up-2"):
            assert bare(part) in text
        for line in issued.lines:
            amount = f"{line.amount_usd:,.2f}".replace("-", "−")
            for part in (line.description, line.order_id, line.lease_id, line.cost_centre):
                assert bare(part) in text
            assert re.search(rf"{re.escape(bare(line.unit))}[\d.,−]*{re.escape(amount)}", text)

    def test_a_long_table_repeats_its_head_and_every_page_counts(self) -> None:
        pages = pages_of(invoice_pdf(invoice(*many(60))))
        assert len(pages) > 3
        for number, page in enumerate(pages[:-1], start=1):
            assert "UNITPRICE" in page
            assert f"Page{number}of{len(pages)}" in page

    def test_a_simulated_invoice_says_so_on_every_page_and_asks_for_no_money(self) -> None:
        pages = pages_of(invoice_pdf(invoice(*many(60))))
        assert all(bare(BANNER) in page for page in pages)
        assert "Nothingistobepaid" in "".join(pages)

    def test_a_live_invoice_is_payable_and_carries_no_banner(self) -> None:
        text = "".join(pages_of(invoice_pdf(invoice(simulated=False))))
        assert "Simulated" not in text
        assert bare("Please pay USD 288.25 by 2026-12-31") in text

    def test_the_same_invoice_gives_the_same_bytes_wherever_it_is_drawn(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = invoice_pdf(invoice(*many(20)))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
        assert invoice_pdf(invoice(*reversed(many(20)))) == first

    def test_only_fonts_that_ship_with_typst_are_used(self) -> None:
        reader = PdfReader(io.BytesIO(invoice_pdf(with_line(description=ODD))))
        fonts = {
            font.get_object()["/BaseFont"].split("+")[-1]
            for page in reader.pages
            for font in page["/Resources"]["/Font"].values()
        }
        assert fonts
        assert all(name.startswith(("LibertinusSerif", "DejaVuSansMono")) for name in fonts), fonts

    def test_it_declares_an_archive_format_and_its_date_of_issue(self) -> None:
        reader = PdfReader(io.BytesIO(invoice_pdf(invoice())))
        declared = reader.trailer["/Root"]["/Metadata"].get_data().decode()
        assert "<pdfaid:part>2</pdfaid:part>" in declared
        assert "<pdfaid:conformance>A</pdfaid:conformance>" in declared
        assert "<pdfuaid:part>1</pdfuaid:part>" in declared
        assert reader.metadata is not None
        assert reader.metadata.title == "Invoice NECTO-2026-000001"
        assert "2026-12-01T08:30:00" in declared

    def test_markup_in_a_text_is_printed_and_not_run(self) -> None:
        text = "".join(pages_of(invoice_pdf(with_line(description=ODD))))
        assert bare('R $x$ #set page(fill: red) *b* <l> @ref \\u{41} `c` "q"') in text
        assert "ŁódźΑθήναМосква" in text
        assert "[U+6F22][U+5B57]" in text
        assert "[U+1F600]" in text
        assert "[U+202E]end" in text

    def test_every_character_that_is_held_to_be_drawable_is_drawn(self) -> None:
        signs = [chr(code) for first, last in documents._DRAWABLE for code in range(first, last + 1)]
        kept = "".join(sign for sign in signs if documents._can_draw(sign) and not sign.isspace())
        # PDF/A refuses a glyph that is not there, so drawing them at all is the proof.
        assert invoice_pdf(with_line(description=" ".join(kept), resource=kept[:400], order_id=" ".join(kept)))

    @settings(max_examples=15, deadline=None)
    @given(st.text(min_size=1, max_size=80), st.decimals(-(10**15), 10**15, places=2))
    def test_no_text_and_no_figure_keeps_an_invoice_from_being_drawn(self, text: str, amount: Decimal) -> None:
        issued = with_line(description=text, resource=text, unit=text, cost_centre=text, amount_usd=amount)
        assert invoice_pdf(issued).startswith(b"%PDF-")

    def test_the_summary_adds_up_to_the_total(self) -> None:
        issued = invoice(*many(30))
        rows = documents._printed(issued)["summary"]
        assert isinstance(rows, list)
        assert len(rows) == len({(line.cost_centre, line.network) for line in issued.lines})
        assert sum(Decimal(row["amount"].replace(",", "")) for row in rows) == issued.total_usd


@pytest.mark.parametrize("sign", ["a", "é", "—", "→", "€", "Ж"])
def test_common_signs_are_drawn_as_themselves(sign: str) -> None:
    assert documents._drawable(unicodedata.normalize("NFD", sign)) == sign


def test_a_charge_without_time_is_drawn_with_one_moment() -> None:
    text = "".join(pages_of(invoice_pdf(invoice(charge(), fee()))))
    assert text.count("2026-11-0309:00:00") == 1
