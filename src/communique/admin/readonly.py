"""What the pages have in common: they change nothing, and count nothing that grows."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.functional import cached_property

MAY_READ = "communique.view_content"


# Paginator and ModelAdmin are generic for type checkers only; at run time they take no subscript.
class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts up to a limit and lists no more than that: the search and the filters are for the rest."""

    limit = 1000

    @cached_property
    def counted(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by().values("pk")[: self.limit + 1].count())

    @property
    def count(self) -> int:
        return min(self.counted, self.limit)

    @property
    def is_cut_off(self) -> bool:
        return self.counted > self.limit


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows rows; who may see them may still not add, change or delete any, whatever their permissions."""

    actions = None
    fields = ()
    list_per_page = 50
    ordering = ("-pk",)
    paginator = BoundedPaginator
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    # No index serves any other order.
    sortable_by = ()

    class Media:
        css = {"all": ["communique/admin/communique.css"]}

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the page of one row shows, for its template."""
        raise NotImplementedError

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        context |= {"subtitle": None, "may_read": may_read(request), "permission": MAY_READ, **self.page(request, obj)}
        return super().render_change_form(request, context, add, change, form_url, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def may_read(request: HttpRequest) -> bool:
    """Whether this user may see contents and payloads, and not just that there are some."""
    return bool(request.user.has_perm(MAY_READ))


def cell(template: str, **context: Any) -> str:
    """What one of ``templates/communique/admin`` makes of a few values."""
    return render_to_string(f"communique/admin/{template}.html", context)


def word(text: str, tone: str) -> str:
    """A word with the colour of its tone."""
    return cell("word", text=text, tone=tone)


def as_uid(term: str) -> UUID | None:
    try:
        return UUID(term)
    except ValueError:
        return None
